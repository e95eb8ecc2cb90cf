/* Matrix product C[b,m,n] = sum over k of A[b,m,k] B[b,k,n], for CPU devices: one work-item a work-group.
 *
 *              VECTORS x LANES columns
 *             +-----------------------+
 *             |  panel of B           |  DEPTH steps at a time, copied to private memory so that it is contiguous
 *             |  (packed)             |
 *             +-----------------------+
 *   +-------+ +-----------------------+
 *   | A     | |  ROWS rows of sums    |  held in registers: each step loads VECTORS vectors of the panel, spreads ROWS
 *   | ROWS  | |  next ROWS rows       |  numbers of A, and does ROWS x VECTORS fused multiply-adds
 *   +-------+ |  ...                  |  BLOCKS such tiles use the same panel
 *             +-----------------------+
 *
 * A work-item makes BLOCKS tiles of one panel; the last tile of all starts earlier so as to end at M, and does not
 * store the rows of its predecessor.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the n extent)
 *   M, K                            the other extents
 *   A_BATCH, A_ROW, A_COLUMN        element strides of A along b, m, k
 *   B_BATCH, B_ROW, B_COLUMN        element strides of B along b, k, n
 *   ROWS, VECTORS                   the register tile
 *   BLOCKS                          tiles of a work-item, one below another
 *   PANELS                          panels in all; global id 0 = panel + PANELS * (index of the group of BLOCKS tiles)
 *   DEPTH                           k steps of a packed panel; below K the sums rest in private memory in between
 *   PACK_B                          0: read B in place (unit column stride, full vectors)
 *   PACK_A                          1: copy each tile's rows of A first (they share cache sets); A_COLUMN or A_ROW is 1
 * Global id 1 is b.
 */
#define PANEL (VECTORS * LANES)
#define CHUNKS ((K + DEPTH - 1) / DEPTH)
#define STORE_AT(V, value, column) STORE(V, value, batch, row, column)

#if PACK_A && A_COLUMN == 1
#define TILE_ROW (DEPTH + 16)
#define TILE_COLUMN 1
#define TILE_FLOATS (ROWS * TILE_ROW)
#elif PACK_A
#define TILE_ROW 1
#define TILE_COLUMN ROWS
#define TILE_FLOATS (DEPTH * ROWS)
#else
#define TILE_ROW A_ROW
#define TILE_COLUMN A_COLUMN
#endif

#if PACK_B
#define PANEL_ROW PANEL
#define LOAD_PANEL(pointer) LOAD(pointer)
/* Copies rows k0 to k0 + depth of B, columns from `column` on, to the packed panel. Lanes beyond the last column are
 * not written, or repeat it: they are not stored. */
inline void pack_panel(const __global float *B, float *panel, const int k0, const int depth, const int column)
{
#if B_COLUMN == 1
    const __global float *from = B + (size_t)k0 * B_ROW + column;
    for (int k = 0; k < depth; k++, from += B_ROW, panel += PANEL) {
        #pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            if (column + (v + 1) * LANES <= COLUMNS)
                SAVE(LOAD_GLOBAL(LANES, from + v * LANES), panel + v * LANES);
            else if (EDGE != 0 && column + v * LANES < COLUMNS)
                COPY_PIECES(EDGE, from + v * LANES, panel + v * LANES);
        }
    }
#elif B_ROW == 1
    const int whole = depth / LANES * LANES;
    for (int v = 0; v < VECTORS; v++) {
        for (int k = 0; k < whole; k += LANES) {
            VECTOR block[LANES];
            #pragma unroll
            for (int l = 0; l < LANES; l++)
                block[l] = LOAD_GLOBAL(LANES, B + (size_t)LEAST(column + v * LANES + l, COLUMNS - 1) * B_COLUMN + k0 + k);
            transpose(block);
            #pragma unroll
            for (int l = 0; l < LANES; l++)
                SAVE(block[l], panel + (k + l) * PANEL + v * LANES);
        }
    }
    for (int k = whole; k < depth; k++)
        for (int c = 0; c < PANEL; c++)
            panel[k * PANEL + c] = B[(size_t)LEAST(column + c, COLUMNS - 1) * B_COLUMN + k0 + k];
#else
    for (int k = 0; k < depth; k++)
        for (int c = 0; c < PANEL; c++)
            panel[k * PANEL + c] = B[(size_t)(k0 + k) * B_ROW + (size_t)LEAST(column + c, COLUMNS - 1) * B_COLUMN];
#endif
}
#else
#define PANEL_ROW B_ROW
#define LOAD_PANEL(pointer) LOAD_GLOBAL(LANES, pointer)
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int batch = get_global_id(1);
    const int column = (int)(get_global_id(0) % PANELS) * PANEL;
    const int first = (int)(get_global_id(0) / PANELS) * BLOCKS;
    const int last = LEAST(first + BLOCKS, (M + ROWS - 1) / ROWS);
    A += (size_t)batch * A_BATCH;
    B += (size_t)batch * B_BATCH;

    float tile[ROWS * PANEL] __attribute__((aligned(64)));
#if PACK_B
    float panel[DEPTH * PANEL] __attribute__((aligned(64)));
#endif
#if PACK_A
    float rows[TILE_FLOATS] __attribute__((aligned(64)));
#endif
#if CHUNKS > 1
    float rest[BLOCKS * ROWS * PANEL] __attribute__((aligned(64)));
#endif

#if PACK_B && COLUMNS % PANEL != 0
    if (column + PANEL > COLUMNS)
        for (int e = 0; e < DEPTH * PANEL; e++)
            panel[e] = 0.0f; /* lanes that are not stored must not be denormal either: those are slow */
#endif
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        const int k0 = chunk * DEPTH;
        const int depth = CHUNKS == 1 ? K : LEAST(DEPTH, K - k0);
#if PACK_B
        pack_panel(B, panel, k0, depth, column);
#else
        const __global float *panel = B + (size_t)k0 * B_ROW + column;
#endif
        for (int block = first; block < last; block++) {
            const int top = LEAST(block * ROWS, M - ROWS);
#if PACK_A
#if A_COLUMN != 1
            const __global float *from = A + (size_t)k0 * A_COLUMN + top;
            for (int k = 0; k < depth; k++, from += A_COLUMN) {
                #pragma unroll
                for (int v = 0; v < ROWS / 16; v++)
                    SAVE_PRIVATE(16, LOAD_GLOBAL(16, from + v * 16), rows + k * ROWS + v * 16);
                COPY_PIECES(ROWS % 16, from + ROWS / 16 * 16, rows + k * ROWS + ROWS / 16 * 16);
            }
#else
            for (int r = 0; r < ROWS; r++) {
                const __global float *from = A + (size_t)(top + r) * A_ROW + k0;
                int k = 0;
                for (; k + LANES <= depth; k += LANES)
                    SAVE(LOAD_GLOBAL(LANES, from + k), rows + r * TILE_ROW + k);
                for (; k < depth; k++)
                    rows[r * TILE_ROW + k] = from[k];
            }
#endif
            const float *a = rows;
#else
            const __global float *a = A + (size_t)top * A_ROW + (size_t)k0 * A_COLUMN;
#endif
            VECTOR sum[ROWS][VECTORS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
#if CHUNKS > 1
                    sum[r][v] = chunk == 0 ? (VECTOR)(0.0f) : LOAD(rest + ((block - first) * ROWS + r) * PANEL + v * LANES);
#else
                    sum[r][v] = (VECTOR)(0.0f);
#endif
            for (int k = 0; k < depth; k++) {
                VECTOR b[VECTORS];
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    b[v] = LOAD_PANEL(panel + (size_t)k * PANEL_ROW + v * LANES);
                #pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    const VECTOR spread = (VECTOR)(a[(size_t)r * TILE_ROW + (size_t)k * TILE_COLUMN]);
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        sum[r][v] = spread * b[v] + sum[r][v];
                }
            }
#if CHUNKS > 1
            float *to = chunk + 1 < CHUNKS ? rest + (block - first) * ROWS * PANEL : tile;
#else
            float *to = tile;
#endif
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    SAVE(sum[r][v], to + r * PANEL + v * LANES);

            if (chunk + 1 == CHUNKS)
                for (int row = block * ROWS; row < top + ROWS; row++) {
                    const float *values = tile + (row - top) * PANEL;
                    for (int v = 0; v < VECTORS; v++)
                        STORE_COLUMN(LOAD(values + v * LANES), column + v * LANES);
                }
        }
    }
}
