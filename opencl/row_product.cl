/* Matrix product C[b,m,n] = sum over k of A[b,m,k] B[b,k,n] with few rows, for CPU devices. A work-group is one
 * work-item.
 *
 * With few rows the time is that of reading B. A work-item reads its part of B once, whole lines of the cache at a
 * time, from STEPS places side by side: processors fetch ahead in each page by itself. All rows of A meet an element
 * of B as soon as it is read.
 *
 *   ADJACENT 1: the columns of B are adjacent             ADJACENT 0: the steps of B are adjacent
 *
 *            SPAN columns                                        DEPTH steps of A, copied to private memory
 *          +----------------+                                  +----------------+
 *   STEPS  | ------------>  |  M rows of SPAN sums      STEPS  | ------------>  |  M x STEPS vectors of sums
 *   steps  | ------------>  |  in private memory        columns| ------------>  |  in registers
 *          +----------------+                                  +----------------+
 *
 * Parameters, besides those of tile.cl (COLUMNS is the n extent)
 *   M, K                            the other extents
 *   A_BATCH, A_ROW, A_COLUMN        element strides of A along b, m, k
 *   B_BATCH, B_ROW, B_COLUMN        element strides of B along b, k, n
 *   ADJACENT                        1: B_COLUMN is 1, or neither is. 0: B_ROW is 1
 *   STEPS                           rows of B's memory that are read side by side, at most LANES if ADJACENT is 0
 *   SPAN                            columns of a work-item, a multiple of LANES; global id 0 = span
 *   SPLITS                          parts of the sum over k
 *   PART                            steps of a part
 *   DEPTH                           steps of A in private memory, a multiple of LANES
 * Global id 1 is split + SPLITS * b, which is the first coordinate of STORE.
 */
#define STORE_AT(V, value, column) STORE(V, value, layer, row, column)
#define ROW_FLOATS (SPAN + 16) /* the 16 keep the sums of a column out of the same set of the cache */

#if ADJACENT

#if B_COLUMN == 1
#define COLUMNS_OF_B(pointer) READ(B, LANES, pointer)
#else
#define COLUMNS_OF_B(pointer) columns_of_b(pointer)
inline VECTOR columns_of_b(const __global MEMORY_B *from)
{
    float columns[LANES];
    for (int l = 0; l < LANES; l++)
        columns[l] = READ(B, 1, from + (size_t)l * B_COLUMN);
    return LOAD(columns);
}
#endif

/* Adds COUNT steps from `k` on to the sums of all columns. */
#define ADD_STEPS(COUNT)                                                                                               \
    do {                                                                                                               \
        const __global MEMORY_B *from = B + (size_t)k * B_ROW;                                                         \
        float factor[COUNT][M];                                                                                        \
        for (int s = 0; s < COUNT; s++)                                                                                \
            for (int m = 0; m < M; m++)                                                                                \
                factor[s][m] = READ(A, 1, A + (size_t)m * A_ROW + (size_t)(k + s) * A_COLUMN);                         \
        int c = 0;                                                                                                     \
        for (; c + LANES <= columns; c += LANES) {                                                                     \
            VECTOR sum[M];                                                                                             \
            _Pragma("unroll") for (int m = 0; m < M; m++) sum[m] = LOAD(sums + m * ROW_FLOATS + c);                    \
            _Pragma("unroll") for (int s = 0; s < COUNT; s++)                                                          \
            {                                                                                                          \
                const VECTOR b = COLUMNS_OF_B(from + (size_t)s * B_ROW + (size_t)c * B_COLUMN);                        \
                _Pragma("unroll") for (int m = 0; m < M; m++) sum[m] = factor[s][m] * b + sum[m];                      \
            }                                                                                                          \
            _Pragma("unroll") for (int m = 0; m < M; m++) SAVE(sum[m], sums + m * ROW_FLOATS + c);                     \
        }                                                                                                              \
        if (EDGE != 0)                                                                                                 \
            for (; c < columns; c++)                                                                                   \
                for (int s = 0; s < COUNT; s++)                                                                        \
                    for (int m = 0; m < M; m++)                                                                        \
                        sums[m * ROW_FLOATS + c] +=                                                                    \
                            factor[s][m] * READ(B, 1, from + (size_t)s * B_ROW + (size_t)c * B_COLUMN);                \
    } while (0)

#else

/* Copies `depth` steps of A from step k0 on: LANES steps of one row, then of the next. The sums do not read A itself,
 * because its rows may share the sets of the cache. */
inline void copy_steps(const __global MEMORY_A *A, float *steps, const int k0, const int depth)
{
    for (int m = 0; m < M; m++) {
        const __global MEMORY_A *from = A + (size_t)m * A_ROW + (size_t)k0 * A_COLUMN;
        for (int k = 0; k < depth; k++)
            steps[(k / LANES * M + m) * LANES + k % LANES] = READ(A, 1, from + (size_t)k * A_COLUMN);
    }
}

inline float lane_sum(const VECTOR value)
{
    float lanes[LANES];
    SAVE(value, lanes);
    #pragma unroll
    for (int rest = LANES / 2; rest > 0; rest /= 2)
        #pragma unroll
        for (int l = 0; l < rest; l++)
            lanes[l] += lanes[l + rest];
    return lanes[0];
}

#endif

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int layer = ITEM(1);
    const int left = ITEM(0) * SPAN;
    const int columns = LEAST(SPAN, COLUMNS - left);
    const int first = layer % SPLITS * PART;
    const int last = LEAST(first + PART, K);
    A += (size_t)(layer / SPLITS) * A_BATCH;
    B += (size_t)(layer / SPLITS) * B_BATCH + (size_t)left * B_COLUMN;

    float sums[M * ROW_FLOATS] __attribute__((aligned(64)));
    for (int e = 0; e < M * ROW_FLOATS; e++)
        sums[e] = 0.0f;
#if ADJACENT
    int k = first;
    for (; k + STEPS <= last; k += STEPS)
        ADD_STEPS(STEPS);
    for (; k < last; k++)
        ADD_STEPS(1);
#else
    float steps[M * DEPTH] __attribute__((aligned(64)));
    for (int k0 = first; k0 < last; k0 += DEPTH) {
        const int depth = LEAST(DEPTH, last - k0), whole = depth / LANES * LANES;
        copy_steps(A, steps, k0, depth);
        for (int c = 0; c < columns; c += STEPS) {
            const __global MEMORY_B *from[STEPS];
            VECTOR sum[M][STEPS];
            #pragma unroll
            for (int s = 0; s < STEPS; s++) {
                from[s] = B + (size_t)LEAST(c + s, columns - 1) * B_COLUMN + k0;
                #pragma unroll
                for (int m = 0; m < M; m++)
                    sum[m][s] = (VECTOR)(0.0f);
            }
            for (int k = 0; k < whole; k += LANES) {
                VECTOR b[STEPS];
                #pragma unroll
                for (int s = 0; s < STEPS; s++)
                    b[s] = READ(B, LANES, from[s] + k);
                #pragma unroll
                for (int m = 0; m < M; m++) {
                    const VECTOR a = LOAD(steps + k * M + m * LANES);
                    #pragma unroll
                    for (int s = 0; s < STEPS; s++)
                        sum[m][s] = a * b[s] + sum[m][s];
                }
            }
            #pragma unroll
            for (int s = 0; s < STEPS; s++)
                #pragma unroll
                for (int m = 0; m < M; m++) {
                    float total = lane_sum(sum[m][s]);
                    for (int k = whole; k < depth; k++)
                        total += steps[whole * M + m * LANES + k - whole] * READ(B, 1, from[s] + k);
                    sums[m * ROW_FLOATS + c + s] += total;
                }
        }
    }
#endif
    for (int row = 0; row < M; row++)
        for (int c = 0; c < columns; c += LANES)
            STORE_COLUMN(LOAD(sums + row * ROW_FLOATS + c), left + c);
}
