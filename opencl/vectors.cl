/* The common part of all kernels: loads and stores of vectors at the address of any element.
 *
 * PoCL does not inline vloadN and vstoreN if the processor that LLVM assumes lacks a feature that PoCL's built-in
 * library was compiled with. A call per vector makes a kernel several times slower. Compilers of the clang family,
 * which are all but a few, have vectors of a lower alignment, which need no call.
 */
#ifdef __clang__
typedef float packed_float2 __attribute__((ext_vector_type(2), aligned(4)));
typedef float packed_float4 __attribute__((ext_vector_type(4), aligned(4)));
typedef float packed_float8 __attribute__((ext_vector_type(8), aligned(4)));
typedef float packed_float16 __attribute__((ext_vector_type(16), aligned(4)));
typedef int packed_int2 __attribute__((ext_vector_type(2), aligned(4)));
typedef int packed_int4 __attribute__((ext_vector_type(4), aligned(4)));
typedef int packed_int8 __attribute__((ext_vector_type(8), aligned(4)));
typedef int packed_int16 __attribute__((ext_vector_type(16), aligned(4)));
typedef uchar packed_uchar2 __attribute__((ext_vector_type(2), aligned(1)));
typedef uchar packed_uchar4 __attribute__((ext_vector_type(4), aligned(1)));
typedef uchar packed_uchar8 __attribute__((ext_vector_type(8), aligned(1)));
typedef uchar packed_uchar16 __attribute__((ext_vector_type(16), aligned(1)));
#define LOAD_VECTOR(kind, width, pointer) (*(const __global packed_##kind##width *)(pointer))
#define STORE_VECTOR(kind, width, value, pointer) (*(__global packed_##kind##width *)(pointer) = (value))
#else
#define LOAD_VECTOR(kind, width, pointer) vload##width(0, pointer)
#define STORE_VECTOR(kind, width, value, pointer) vstore##width(value, 0, pointer)
#endif

/* A function that is not inlined. PoCL compiles three times what a kernel contains: the kernel and two functions that
 * launch it. It compiles once what a kernel calls. */
#ifdef __clang__
#define CALLED __attribute__((noinline)) static
#else
#define CALLED static
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

/* What a hand-written kernel reads of an operand: V neighbouring elements at a pointer, as the type that it computes
 * with. READ(X, 8, X + at) is a float8. MEMORY_X, the type in memory, is defined before the kernel's text. */
#define READ(operand, V, pointer) READ_(MEMORY_##operand, V, pointer)
#define READ_(memory, V, pointer) JOIN(READ_, V)(memory, pointer)
#define READ_1(memory, pointer) (*(pointer))
#define READ_2(memory, pointer) READ_VECTOR(memory, 2, pointer)
#define READ_4(memory, pointer) READ_VECTOR(memory, 4, pointer)
#define READ_8(memory, pointer) READ_VECTOR(memory, 8, pointer)
#define READ_16(memory, pointer) READ_VECTOR(memory, 16, pointer)
#define READ_VECTOR(memory, V, pointer) LOAD_VECTOR(memory, V, pointer)

