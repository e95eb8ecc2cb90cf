/* OpenCL C on the host, for host_kernels.py: vectors as GCC has them, work-items one after the other.
 *
 * A kernel that waits at barriers runs each work-item of a group on a stack of its own: a barrier goes on with the next.
 */
#include <climits>
#include <cmath>
#include <cstring>
#include <ucontext.h>
#include <type_traits>
#include <utility>
#include <vector>

typedef unsigned char uchar;
typedef unsigned int uint;
typedef unsigned long ulong;
#define VECTORS_OF(T) \
    typedef T T##2 __attribute__((vector_size(2 * sizeof(T)))); typedef T T##4 __attribute__((vector_size(4 * sizeof(T)))); \
    typedef T T##8 __attribute__((vector_size(8 * sizeof(T)))); typedef T T##16 __attribute__((vector_size(16 * sizeof(T))));
VECTORS_OF(float)
VECTORS_OF(int)
VECTORS_OF(uint)
VECTORS_OF(uchar)

#define __kernel extern "C"
#define __global
#define __local static
#define CLK_LOCAL_MEM_FENCE 0

/* ---------------------------------------------------------------------------------------------------------- vectors */
template <class V> using Item = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<V>()[0])>>;
template <class V> constexpr int width_of = sizeof(V) / sizeof(Item<V>);

template <class V, class A> V make(A x)
{
    if constexpr (std::is_arithmetic_v<V>) {
        return x;
    } else {
        V y;
        if constexpr (std::is_arithmetic_v<A>)
            for (int i = 0; i < width_of<V>; i++) y[i] = x;
        else
            for (int i = 0; i < width_of<V>; i++) y[i] = x[i];
        return y;
    }
}
template <class V, class A, class B, class... C> V make(A a, B b, C... c)
{
    return V{(Item<V>)a, (Item<V>)b, (Item<V>)c...};
}

#define CONVERSIONS(T) \
    template <class A> T convert_##T(A x) { return (T)x; } \
    template <class A> T##2 convert_##T##2(A x) { return __builtin_convertvector(x, T##2); } \
    template <class A> T##4 convert_##T##4(A x) { return __builtin_convertvector(x, T##4); } \
    template <class A> T##8 convert_##T##8(A x) { return __builtin_convertvector(x, T##8); } \
    template <class A> T##16 convert_##T##16(A x) { return __builtin_convertvector(x, T##16); }
CONVERSIONS(float)
CONVERSIONS(int)
CONVERSIONS(uint)
CONVERSIONS(uchar)

#define MEMORY_OF(T, N) \
    inline T##N vload##N(size_t at, const T *p) { T##N v; memcpy(&v, p + at * N, sizeof v); return v; } \
    inline void vstore##N(T##N v, size_t at, T *p) { memcpy(p + at * N, &v, sizeof v); }
#define MEMORY(T) MEMORY_OF(T, 2) MEMORY_OF(T, 4) MEMORY_OF(T, 8) MEMORY_OF(T, 16)
MEMORY(float)
MEMORY(int)
MEMORY(uchar)

template <class V> struct Half;
template <> struct Half<float4> { typedef float2 type; };
template <> struct Half<float8> { typedef float4 type; };
template <> struct Half<float16> { typedef float8 type; };
template <class V> typename Half<V>::type lo(V v) { typename Half<V>::type h; memcpy(&h, &v, sizeof h); return h; }
template <class V> typename Half<V>::type hi(V v)
{
    typename Half<V>::type h;
    memcpy(&h, (char *)&v + sizeof h, sizeof h);
    return h;
}
template <class V> void set_even(V &v, typename Half<V>::type h) { for (int i = 0; i < width_of<V> / 2; i++) v[2 * i] = h[i]; }
template <class V> void set_odd(V &v, typename Half<V>::type h) { for (int i = 0; i < width_of<V> / 2; i++) v[2 * i + 1] = h[i]; }

/* --------------------------------------------------------------------------------------------------------- functions */
#define FUNCTION(NAME) \
    inline float NAME(float x) { return std::NAME(x); } \
    template <class V, class = std::enable_if_t<!std::is_arithmetic_v<V>>> V NAME(V x) \
    { for (int i = 0; i < width_of<V>; i++) x[i] = std::NAME(x[i]); return x; }
namespace opencl {
FUNCTION(exp) FUNCTION(expm1) FUNCTION(log) FUNCTION(log1p) FUNCTION(sqrt) FUNCTION(fabs) FUNCTION(floor) FUNCTION(ceil)
FUNCTION(rint) FUNCTION(sin) FUNCTION(cos) FUNCTION(tanh) FUNCTION(erf)
inline float sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }
template <class V> V sign(V x) { for (int i = 0; i < width_of<V>; i++) x[i] = sign((float)x[i]); return x; }
inline uint mul_hi(uint a, uint b) { return (uint)((unsigned long long)a * b >> 32); }
template <class V> V mul_hi(V a, V b) { for (int i = 0; i < width_of<V>; i++) a[i] = mul_hi((uint)a[i], (uint)b[i]); return a; }
inline int abs(int x) { return x < 0 ? -x : x; }
template <class V> V abs(V x) { for (int i = 0; i < width_of<V>; i++) x[i] = abs((int)x[i]); return x; }
}
#define abs opencl::abs
#define mul_hi opencl::mul_hi
#define as_int2(x) (x)
#define as_int4(x) (x)
#define as_int8(x) (x)
#define as_int16(x) (x)
#define exp opencl::exp
#define sin opencl::sin
#define cos opencl::cos
#define tanh opencl::tanh
#define sqrt opencl::sqrt
#define log opencl::log
#define floor opencl::floor
#define fabs opencl::fabs
inline int min(int a, int b) { return b < a ? b : a; }
inline int max(int a, int b) { return b < a ? a : b; }

/* -------------------------------------------------------------------------------------------------------- work-items */
struct Call {
    void **arguments;
    size_t global_size[3], local_size[3];
};

static size_t global_id[3], local_id[3], group_id[3];
inline size_t get_global_id(int d) { return global_id[d]; }
inline size_t get_local_id(int d) { return local_id[d]; }
inline size_t get_group_id(int d) { return group_id[d]; }

static const size_t STACK = 1 << 15;

struct Fiber {
    ucontext_t context;
    char *stack;
    size_t id[3];
    bool done;
};
static ucontext_t scheduler;
static Fiber *current;
static void (*body)(void **);
static void **given;

inline void barrier(int) { swapcontext(&current->context, &scheduler); }
static void enter() { body(given); current->done = true; swapcontext(&current->context, &scheduler); }

static void place(const Call *c, const size_t *id)
{
    for (int d = 0; d < 3; d++) {
        local_id[d] = id[d];
        global_id[d] = group_id[d] * c->local_size[d] + id[d];
    }
}

static void run_group(const Call *c)
{
    static std::vector<Fiber> fibers;
    while (fibers.size() < c->local_size[0] * c->local_size[1] * c->local_size[2])
        fibers.push_back(Fiber{{}, new char[STACK], {}, true});
    size_t k = 0;
    for (size_t z = 0; z < c->local_size[2]; z++)
        for (size_t y = 0; y < c->local_size[1]; y++)
            for (size_t x = 0; x < c->local_size[0]; x++, k++) {
                Fiber &f = fibers[k];
                f.id[0] = x; f.id[1] = y; f.id[2] = z;
                f.done = false;
                getcontext(&f.context);
                f.context.uc_stack.ss_sp = f.stack;
                f.context.uc_stack.ss_size = STACK;
                f.context.uc_link = nullptr;
                makecontext(&f.context, enter, 0);
            }
    for (bool left = true; left;) {
        left = false;
        for (Fiber &f : fibers)
            if (!f.done) {
                current = &f;
                place(c, f.id);
                swapcontext(&scheduler, &f.context);
                left |= !f.done;
            }
    }
    current = nullptr;
}

/* A group of one item needs no stack of its own; a larger one gets stacks if the kernel's text holds a barrier. */
extern "C" void run(const Call *c, void (*kernel)(void **), int barriers)
{
    body = kernel;
    given = c->arguments;
    for (group_id[2] = 0; group_id[2] < c->global_size[2] / c->local_size[2]; group_id[2]++)
        for (group_id[1] = 0; group_id[1] < c->global_size[1] / c->local_size[1]; group_id[1]++)
            for (group_id[0] = 0; group_id[0] < c->global_size[0] / c->local_size[0]; group_id[0]++) {
                if (barriers) {
                    run_group(c);
                    continue;
                }
                for (size_t z = 0; z < c->local_size[2]; z++)
                    for (size_t y = 0; y < c->local_size[1]; y++)
                        for (size_t x = 0; x < c->local_size[0]; x++) {
                            const size_t id[3] = {x, y, z};
                            place(c, id);
                            kernel(given);
                        }
            }
}
