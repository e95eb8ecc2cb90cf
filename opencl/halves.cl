/* Elements of 16 bits in memory, which kernels compute with as floats. This text follows that of vectors.cl in kernels
 * that read or write such elements. LOAD_VECTOR, STORE_VECTOR and READ choose by the name of the type in memory:
 *
 *   half     IEEE binary16. Every OpenCL has its loads and stores as functions, whether or not it computes with it.
 *   ushort   a bfloat, the upper half of a float, rounded to nearest even: shifts of integers
 */
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

/* An element, and neighbouring elements, at a pointer. */
#undef LOAD_VECTOR
#undef STORE_VECTOR
#undef READ_1
#define READ_1(memory, pointer) LOAD_ONE(memory, pointer)
#define LOAD_ONE(kind, pointer) PASTE(ONE_, kind)(pointer)
#define STORE_ONE(kind, value, pointer) PASTE(PUT_, kind)(value, pointer)
#define LOAD_VECTOR(kind, width, pointer) PASTE(SOME_, kind)(width, pointer)
#define STORE_VECTOR(kind, width, value, pointer) PASTE(PUT_SOME_, kind)(width, value, pointer)
/* Declares `name`: the value that is read back after `value`, a name, was stored. */
#define ROUNDED_ONE(kind, name, value) PASTE(ROUNDED_ONE_, kind)(name, value)
#define ROUNDED(kind, width, name, value) PASTE(ROUNDED_, kind)(width, name, value)

#ifdef __clang__
#define SOME_OF(kind, width, pointer) (*(const __global packed_##kind##width *)(pointer))
#define PUT_SOME_OF(kind, width, value, pointer) (*(__global packed_##kind##width *)(pointer) = (value))
#else
#define SOME_OF(kind, width, pointer) vload##width(0, pointer)
#define PUT_SOME_OF(kind, width, value, pointer) vstore##width(value, 0, pointer)
#endif
#define ONE_float(pointer) (*(pointer))
#define ONE_int(pointer) (*(pointer))
#define ONE_uchar(pointer) (*(pointer))
#define SOME_float(width, pointer) SOME_OF(float, width, pointer)
#define SOME_int(width, pointer) SOME_OF(int, width, pointer)
#define SOME_uchar(width, pointer) SOME_OF(uchar, width, pointer)
#define PUT_SOME_float(width, value, pointer) PUT_SOME_OF(float, width, value, pointer)
#define PUT_SOME_int(width, value, pointer) PUT_SOME_OF(int, width, value, pointer)
#define PUT_SOME_uchar(width, value, pointer) PUT_SOME_OF(uchar, width, value, pointer)

#ifdef POCL_DEVICE_ADDRESS_BITS
/* PoCL's functions for halves compute with integers, in a call for each vector: four to eleven times as long as the
 * conversion of a vector by its compiler (PoCL 3.0, AMD Zen 3). The compiler knows no single halves without the
 * extension, but vectors of one. */
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
typedef half packed_half1 __attribute__((ext_vector_type(1), aligned(2)));
typedef half packed_half2 __attribute__((ext_vector_type(2), aligned(2)));
typedef half packed_half4 __attribute__((ext_vector_type(4), aligned(2)));
typedef half packed_half8 __attribute__((ext_vector_type(8), aligned(2)));
typedef half packed_half16 __attribute__((ext_vector_type(16), aligned(2)));
typedef float float_of_one __attribute__((ext_vector_type(1)));
#define HALF_OF_ONE(value) __builtin_convertvector((float_of_one)(value), packed_half1)
#define ONE_OF_HALF(half_of_one) (__builtin_convertvector(half_of_one, float_of_one).x)
#define ONE_half(pointer) ONE_OF_HALF(*(const __global packed_half1 *)(pointer))
#define PUT_half(value, pointer) (*(__global packed_half1 *)(pointer) = HALF_OF_ONE(value))
#define SOME_half(width, pointer)                                                                                      \
    __builtin_convertvector(*(const __global packed_half##width *)(pointer), float##width)
#define PUT_SOME_half(width, value, pointer)                                                                           \
    (*(__global packed_half##width *)(pointer) = __builtin_convertvector(value, packed_half##width))
#define ROUNDED_ONE_half(name, value) const float name = ONE_OF_HALF(HALF_OF_ONE(value));
#define ROUNDED_half(width, name, value)                                                                               \
    const float##width name =                                                                                          \
        __builtin_convertvector(__builtin_convertvector(value, packed_half##width), float##width);
#else
#define ONE_half(pointer) vload_half(0, pointer)
#define PUT_half(value, pointer) vstore_half_rte(value, 0, pointer)
#define SOME_half(width, pointer) vload_half##width(0, pointer)
#define PUT_SOME_half(width, value, pointer) vstore_half##width##_rte(value, 0, pointer)
#define ROUNDED_ONE_half(name, value)                                                                                  \
    ushort name##_bits;                                                                                                \
    vstore_half_rte(value, 0, (half *)&name##_bits);                                                                   \
    const float name = vload_half(0, (const half *)&name##_bits);
#define ROUNDED_half(width, name, value)                                                                               \
    ushort name##_bits[width];                                                                                         \
    vstore_half##width##_rte(value, 0, (half *)name##_bits);                                                           \
    const float##width name = vload_half##width(0, (const half *)name##_bits);
#endif

#ifdef __clang__
typedef ushort packed_ushort2 __attribute__((ext_vector_type(2), aligned(2)));
typedef ushort packed_ushort4 __attribute__((ext_vector_type(4), aligned(2)));
typedef ushort packed_ushort8 __attribute__((ext_vector_type(8), aligned(2)));
typedef ushort packed_ushort16 __attribute__((ext_vector_type(16), aligned(2)));
#define WIDENED(width, value) __builtin_convertvector(value, uint##width)
#define NARROWED(width, value) __builtin_convertvector(value, packed_ushort##width)
#else
#define WIDENED(width, value) convert_uint##width(value)
#define NARROWED(width, value) convert_ushort##width(value)
#endif
/* The bits of floats, rounded to 16 bits in place. A NaN stays one: its lower bits are cut off, and a bit is set that
 * is left. */
#define BFLOAT_BITS(bits, is_nan, one)                                                                                 \
    (is_nan) ? ((bits) | (one << 22)) : ((bits) + 0x7fff + (((bits) >> 16) & 1))
#define NAN_BITS(bits) (((bits) & 0x7fffffff) > 0x7f800000)
#define ONE_ushort(pointer) as_float((uint)(*(pointer)) << 16)
#define PUT_ushort(value, pointer)                                                                                     \
    do {                                                                                                               \
        const uint bits_ = as_uint(value);                                                                             \
        *(pointer) = (ushort)((BFLOAT_BITS(bits_, NAN_BITS(bits_), 1u)) >> 16);                                        \
    } while (0)
#define SOME_ushort(width, pointer) as_float##width(WIDENED(width, SOME_OF(ushort, width, pointer)) << 16)
#define PUT_SOME_ushort(width, value, pointer)                                                                         \
    do {                                                                                                               \
        const uint##width bits_ = as_uint##width(value);                                                               \
        const uint##width upper_ = (BFLOAT_BITS(bits_, NAN_BITS(bits_), (uint##width)(1))) >> 16;                      \
        PUT_SOME_OF(ushort, width, NARROWED(width, upper_), pointer);                                                  \
    } while (0)
#define ROUNDED_ONE_ushort(name, value)                                                                                \
    const uint name##_bits = as_uint(value);                                                                           \
    const float name = as_float((BFLOAT_BITS(name##_bits, NAN_BITS(name##_bits), 1u)) & 0xffff0000u);
#define ROUNDED_ushort(width, name, value)                                                                             \
    const uint##width name##_bits = as_uint##width(value);                                                             \
    const float##width name =                                                                                          \
        as_float##width((BFLOAT_BITS(name##_bits, NAN_BITS(name##_bits), (uint##width)(1))) & 0xffff0000u);
