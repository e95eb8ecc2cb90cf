/* Matrix product C[b,m,n] = sum over k of A[b,m,k] B[b,k,n] with few rows, for GPUs (and any device).
 *
 * With few rows the time is that of reading B. The ACROSS x DOWN work-items of a group read neighbouring elements along
 * the adjacent dimension of B. Each adds up the products of one column and every so many-th step; the group then adds
 * up its work-items' sums in local memory.
 *
 *   ADJACENT 1: ACROSS columns x DOWN parts of the sum        ADJACENT 0: ACROSS parts of the sum x DOWN columns
 *
 * Parameters
 *   M, COLUMNS, K                   the extents along m, n and k
 *   A_BATCH, A_ROW, A_COLUMN        element strides of A along b, m, k
 *   B_BATCH, B_ROW, B_COLUMN        element strides of B along b, k, n
 *   ADJACENT                        the dimension of B along which work-items of a group are neighbours: 1 n, 0 k
 *   ACROSS, DOWN                    the work-group
 *   SPLITS                          parts of the sum over k that are stored
 *   PART                            steps of a part
 * Global ids: 0 = position across + ACROSS * (block of LINE columns), 1 = position down.
 * Global id 2 is split + SPLITS * b, which is the first coordinate of STORE.
 */
#if ADJACENT
#define LINE ACROSS
#define SHARES DOWN
#else
#define LINE DOWN
#define SHARES ACROSS
#endif

__kernel __attribute__((reqd_work_group_size(ACROSS, DOWN, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    __local float sums[M * LINE * SHARES];
    const int layer = get_global_id(2);
    const int across = get_local_id(0), down = get_local_id(1);
    const int line = ADJACENT ? across : down, part = ADJACENT ? down : across;
    const int column = (int)get_group_id(0) * LINE + line;
    const int first = layer % SPLITS * PART;
    const int last = min(first + PART, K);
    A += (size_t)(layer / SPLITS) * A_BATCH;
    B += (size_t)(layer / SPLITS) * B_BATCH + (size_t)min(column, COLUMNS - 1) * B_COLUMN;

    float sum[M];
    #pragma unroll
    for (int m = 0; m < M; m++)
        sum[m] = 0.0f;
    #pragma unroll 4
    for (int k = first + part; k < last; k += SHARES) {
        const float b = READ(B, 1, B + (size_t)k * B_ROW);
        #pragma unroll
        for (int m = 0; m < M; m++)
            sum[m] += READ(A, 1, A + (size_t)m * A_ROW + (size_t)k * A_COLUMN) * b;
    }
    #pragma unroll
    for (int m = 0; m < M; m++)
        sums[(m * SHARES + part) * LINE + line] = sum[m];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = down * ACROSS + across; e < M * LINE; e += ACROSS * DOWN) {
        const int row = e / LINE, place = e % LINE, at = (int)get_group_id(0) * LINE + place;
        float total = 0.0f;
        for (int p = 0; p < SHARES; p++)
            total += sums[(row * SHARES + p) * LINE + place];
        if (at < COLUMNS)
            STORE(1, total, layer, row, at);
    }
}
