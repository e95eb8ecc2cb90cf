/* A kernel that runs the work-items of several kernels, its phases, one phase after the other, for CPUs.
 *
 * A work-group is one work-item. All items of all phases are numbered in order. A work-group takes the next number
 * until there is none left, but not before all items of the phases before it are done:
 *
 *   TAKEN     the number of items that were taken
 *   FINISHED  the number of items that are done
 *   LEFT      the number of work-groups that have ended
 *
 * Whoever waits holds no item. It waits for items that other work-groups have taken, so those have started, and each
 * goes on by itself. So the kernel ends however many work-groups run at a time, even if it is one. A work-group that
 * has waited for much longer than an item takes leaves the rest to the others: the system has stopped them for another
 * process. The last one that ends sets the counters to zero for the next launch.
 *
 * The counters are ints of global memory, each in a cache line of its own.
 */
#define TAKEN 0
#define FINISHED 32
#define LEFT 64

#if defined(__x86_64__) && defined(__has_builtin)
#if __has_builtin(__builtin_ia32_pause)
#define PAUSE __builtin_ia32_pause()
#endif
#endif
#ifndef PAUSE
#define PAUSE
#endif

/* Atomic operations that are fences, too. Intel's compiler takes several times as long for a kernel with OpenCL's. */
#ifdef __clang__
#define COUNT_UP(counter) __sync_fetch_and_add(counter, 1)
#define IS_SWAPPED(counter, old, new) __sync_bool_compare_and_swap(counter, old, new)
#define FENCE __sync_synchronize()
#else
#define COUNT_UP(counter) atomic_inc(counter)
#define IS_SWAPPED(counter, old, new) (atomic_cmpxchg(counter, old, new) == (old))
#define FENCE mem_fence(CLK_GLOBAL_MEM_FENCE)
#endif

/* `pauses` is how often a work-group looks whether it has to wait longer. */
#define BEGIN_PHASES(memory, pauses)                                                                                   \
    volatile __global int *counters = (volatile __global int *)(memory);                                               \
    const int most_pauses = (pauses);

/* Runs CALL for the `count` items from number `first` on; in CALL, the item of the phase is `item`. */
#define PHASE(first, count, CALL)                                                                                      \
    for (int taken; (taken = counters[TAKEN]) < (first) + (count);) {                                                  \
        for (int k = 0; counters[FINISHED] < (first); ++k) {                                                           \
            if (k == most_pauses)                                                                                      \
                goto leave;                                                                                            \
            PAUSE;                                                                                                     \
        }                                                                                                              \
        if (!IS_SWAPPED(counters + TAKEN, taken, taken + 1))                                                           \
            continue;                                                                                                  \
        const int item = taken - (first);                                                                              \
        FENCE;                                                                                                         \
        CALL;                                                                                                          \
        FENCE;                                                                                                         \
        COUNT_UP(counters + FINISHED);                                                                                 \
    }

#define END_PHASES                                                                                                     \
    leave:                                                                                                             \
    if (COUNT_UP(counters + LEFT) == (int)get_num_groups(0) - 1) {                                                     \
        counters[TAKEN] = 0;                                                                                           \
        counters[FINISHED] = 0;                                                                                        \
        counters[LEFT] = 0;                                                                                            \
    }
