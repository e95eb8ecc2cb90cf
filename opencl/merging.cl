/* The common part of the sorting kernels: the order of entries, and the merging of two sorted runs.
 *
 * An entry is one number: a key in the upper half, and the position of the key in its row in the lower half. No two
 * entries of a row are equal, and equal keys are ordered by their positions, so every sort is stable.
 *
 * Parameters
 *   FLOATING    1: the keys are floats, 0: ints
 *   DESCENDING  1: the greatest comes first
 */
#if FLOATING
#define KEY_TYPE float
#else
#define KEY_TYPE int
#endif

/* The key as an int of the same order. A NaN is greater than any number, and -0 equals 0. */
inline int ordered(KEY_TYPE value)
{
#if FLOATING
    const int bits = as_int(value), size = bits & INT_MAX;
    const int key = size > 0x7f800000 ? INT_MAX : size == 0 ? 0 : bits < 0 ? -size : size;
#else
    const int key = value;
#endif
    return DESCENDING ? ~key : key;
}

inline long entry(KEY_TYPE value, int position)
{
    return ((long)ordered(value) << 32) | position;
}

/* Writes the places from `begin` to `end` of the merged runs: neighbouring runs of `run` of the `count` entries become
 * one. ENTRY(k) reads an entry, PUT(k, entry) writes one.
 *
 * The entries at the first `k` places of a merged pair are the least `low` of the left run and the least `k - low` of
 * the right one. The search finds `low`, so each work-item can begin anywhere (Odeh et al., Merge Path, 2012).
 */
#define MERGE(run, count, begin, end)                                                                                  \
    for (int at_ = (begin); at_ < (end);) {                                                                            \
        const int base_ = at_ / (2 * (run)) * (2 * (run)), k_ = at_ - base_;                                           \
        const int middle_ = min(base_ + (run), (count)), stop_ = min(base_ + 2 * (run), (count));                      \
        int low_ = max(0, k_ - (stop_ - middle_)), high_ = min(k_, middle_ - base_);                                   \
        while (low_ < high_) {                                                                                         \
            const int half_ = (low_ + high_) / 2;                                                                      \
            if (ENTRY(base_ + half_) < ENTRY(middle_ + k_ - half_ - 1))                                                \
                low_ = half_ + 1;                                                                                      \
            else                                                                                                       \
                high_ = half_;                                                                                         \
        }                                                                                                              \
        int left_ = base_ + low_, right_ = middle_ + k_ - low_;                                                        \
        long a_ = left_ < middle_ ? ENTRY(left_) : LONG_MAX, b_ = right_ < stop_ ? ENTRY(right_) : LONG_MAX;           \
        for (const int until_ = min(stop_, (end)); at_ < until_; ++at_) {                                              \
            if (a_ < b_) {                                                                                             \
                PUT(at_, a_);                                                                                          \
                a_ = ++left_ < middle_ ? ENTRY(left_) : LONG_MAX;                                                      \
            } else {                                                                                                   \
                PUT(at_, b_);                                                                                          \
                b_ = ++right_ < stop_ ? ENTRY(right_) : LONG_MAX;                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
