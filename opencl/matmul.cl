/* Matrix product C[b,m,n] = sum over k of A[b,m,k] B[b,k,n], for CPU devices. A work-group is one work-item.
 *
 *              VECTORS x LANES columns
 *             +-----------------------+
 *             |  panel of B           |  DEPTH steps at a time, copied to private memory so that it is contiguous
 *             |  (packed)             |
 *             +-----------------------+
 *   +-------+ +-----------------------+
 *   | A     | |  ROWS rows of sums    |  held in registers: each step loads VECTORS vectors of the panel, broadcasts
 *   | ROWS  | |  next ROWS rows       |  ROWS numbers of A, and does ROWS x VECTORS fused multiply-adds
 *   +-------+ |  ...                  |  BLOCKS such tiles use the same panel
 *             +-----------------------+
 *
 * A work-item computes BLOCKS tiles of each of SPAN panels side by side. The last tile of C starts earlier, so that it
 * ends at M, and does not store the rows of its predecessor.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the n extent)
 *   M, K                            the other extents
 *   A_BATCH, A_ROW, A_COLUMN        element strides of A along b, m, k
 *   B_BATCH, B_ROW, B_COLUMN        element strides of B along b, k, n
 *   ROWS, VECTORS                   the register tile
 *   BLOCKS                          tiles of a work-item, one below another
 *   SPAN                            panels of a work-item, side by side
 *   SPANS                           spans in all; global id 0 = span + SPANS * (index of the group of BLOCKS tiles)
 *   DEPTH                           k steps of a packed panel; if it is below K, the sums are kept in private memory in
 *                                   between
 *   PACK_B                          0: read B in place (unit column stride, full vectors)
 *   PANEL_STEP                      elements from panel to panel if PACK_B is 0; panels that pack_filters.cl made lie
 *                                   one after another
 *   PACK_A                          1: copy each tile's rows of A first, because they share cache sets; A_COLUMN or
 *                                   A_ROW is 1
 * Global id 1 is b.
 */
#define PANEL (VECTORS * LANES)
#define CHUNKS ((K + DEPTH - 1) / DEPTH)
#define PANEL_FLOATS (DEPTH * PANEL + 16) /* the 16 keep panels side by side out of the same sets of the cache */
#define STORE_AT(V, value, column) STORE(V, value, batch, row, column)

#if PACK_A && A_COLUMN == 1
#define STRIP_ROW (DEPTH + 16)
#define STRIP_COLUMN 1
#define STRIP_FLOATS (ROWS * STRIP_ROW)
#elif PACK_A
#define STRIP_ROW 1
#define STRIP_COLUMN ROWS
#define STRIP_FLOATS (DEPTH * ROWS)
#else
#define STRIP_ROW A_ROW
#define STRIP_COLUMN A_COLUMN
#endif

#if PACK_A
#define LOAD_STRIP(pointer) (*(pointer))
#else
#define LOAD_STRIP(pointer) READ(A, 1, pointer)
#endif

#if PACK_B
#define PANEL_ROW PANEL
#define LOAD_PANEL(pointer) LOAD(pointer)
/* Copies rows k0 to k0 + depth of B, `span` panels of columns from `left` on, to the packed panels. Lanes beyond the
 * last column are not written, or repeat it: they are not stored. Rows that lie far apart are read once, whole. */
inline void pack_panels(const __global MEMORY_B *B, float *panels, const int k0, const int depth, const int left,
                        const int span)
{
#if B_COLUMN == 1
    const __global MEMORY_B *from = B + (size_t)k0 * B_ROW + left;
    for (int k = 0; k < depth; k++, from += B_ROW) {
        for (int p = 0; p < span; p++) {
            const int column = left + p * PANEL;
            const __global MEMORY_B *row = from + p * PANEL;
            float *panel = panels + p * PANEL_FLOATS + k * PANEL;
            #pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                if (column + (v + 1) * LANES <= COLUMNS)
                    SAVE(READ(B, LANES, row + v * LANES), panel + v * LANES);
                else if (EDGE != 0 && column + v * LANES < COLUMNS)
                    COPY_PIECES(B, EDGE, row + v * LANES, panel + v * LANES);
            }
        }
    }
#elif B_ROW == 1
    const int whole = depth / LANES * LANES;
    for (int p = 0; p < span; p++) {
        float *panel = panels + p * PANEL_FLOATS;
        for (int v = 0; v < VECTORS; v++) {
            const int column = left + p * PANEL + v * LANES;
            for (int k = 0; k < whole; k += LANES) {
                VECTOR block[LANES];
                #pragma unroll
                for (int l = 0; l < LANES; l++)
                    block[l] = READ(B, LANES, B + (size_t)LEAST(column + l, COLUMNS - 1) * B_COLUMN + k0 + k);
                transpose(block);
                #pragma unroll
                for (int l = 0; l < LANES; l++)
                    SAVE(block[l], panel + (k + l) * PANEL + v * LANES);
            }
            for (int k = whole; k < depth; k++)
                for (int l = 0; l < LANES; l++)
                    panel[k * PANEL + v * LANES + l] =
                        READ(B, 1, B + (size_t)LEAST(column + l, COLUMNS - 1) * B_COLUMN + k0 + k);
        }
    }
#else
    for (int p = 0; p < span; p++)
        for (int k = 0; k < depth; k++)
            for (int c = 0; c < PANEL; c++)
                panels[p * PANEL_FLOATS + k * PANEL + c] = READ(
                    B, 1, B + (size_t)(k0 + k) * B_ROW + (size_t)LEAST(left + p * PANEL + c, COLUMNS - 1) * B_COLUMN);
#endif
}
#else
#define PANEL_ROW B_ROW
#define LOAD_PANEL(pointer) READ(B, LANES, pointer)
#endif

#if PACK_A
/* Copies columns k0 to k0 + depth of ROWS rows of A, from row `top` on, in the order of A's memory. */
inline void copy_strip(const __global MEMORY_A *A, float *strip, const int k0, const int depth, const int top)
{
#if A_COLUMN == 1
    for (int r = 0; r < ROWS; r++) {
        const __global MEMORY_A *from = A + (size_t)(top + r) * A_ROW + k0;
        int k = 0;
        for (; k + LANES <= depth; k += LANES)
            SAVE(READ(A, LANES, from + k), strip + r * STRIP_ROW + k);
        for (; k < depth; k++)
            strip[r * STRIP_ROW + k] = READ(A, 1, from + k);
    }
#else
    const __global MEMORY_A *from = A + (size_t)k0 * A_COLUMN + top;
    for (int k = 0; k < depth; k++, from += A_COLUMN, strip += ROWS) {
        #pragma unroll
        for (int v = 0; v < ROWS / 16; v++)
            SAVE_PRIVATE(16, READ(A, 16, from + v * 16), strip + v * 16);
        COPY_PIECES(A, ROWS % 16, from + ROWS / 16 * 16, strip + ROWS / 16 * 16);
    }
#endif
}
#endif

#if PACK_A
#define STRIP_POINTER const float *
#else
#define STRIP_POINTER const __global MEMORY_A *
#endif
#if PACK_B
#define PANEL_POINTER const float *
#else
#define PANEL_POINTER const __global MEMORY_B *
#endif

/* Adds the products of `depth` steps to the sums of one tile, which start at 0 if `fresh`. It is a function so that all
 * registers are for the sums: a compiler keeps constants of the epilogue in registers, too, if it sees both. */
CALLED void multiply(STRIP_POINTER a, PANEL_POINTER panel, const int depth, const int fresh, const float *from, float *to)
{
    VECTOR sum[ROWS][VECTORS];
    #pragma unroll
    for (int r = 0; r < ROWS; r++)
        #pragma unroll
        for (int v = 0; v < VECTORS; v++)
            sum[r][v] = fresh ? (VECTOR)(0.0f) : LOAD(from + r * PANEL + v * LANES);
    for (int k = 0; k < depth; k++) {
        VECTOR b[VECTORS];
        #pragma unroll
        for (int v = 0; v < VECTORS; v++)
            b[v] = LOAD_PANEL(panel + (size_t)k * PANEL_ROW + v * LANES);
        #pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const size_t place = (size_t)r * STRIP_ROW + (size_t)k * STRIP_COLUMN;
            const VECTOR spread = (VECTOR)(LOAD_STRIP(a + place));
            #pragma unroll
            for (int v = 0; v < VECTORS; v++)
                sum[r][v] = spread * b[v] + sum[r][v];
        }
    }
    #pragma unroll
    for (int r = 0; r < ROWS; r++)
        #pragma unroll
        for (int v = 0; v < VECTORS; v++)
            SAVE(sum[r][v], to + r * PANEL + v * LANES);
}

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int batch = ITEM(1);
    const int left = ITEM(0) % SPANS * (SPAN * PANEL);
    const int span = LEAST(SPAN, (COLUMNS - left + PANEL - 1) / PANEL);
    const int first = ITEM(0) / SPANS * BLOCKS;
    const int last = LEAST(first + BLOCKS, (M + ROWS - 1) / ROWS);
    A += (size_t)batch * A_BATCH;
    B += (size_t)batch * B_BATCH;

    float tile[ROWS * PANEL] __attribute__((aligned(64)));
#if PACK_B
    float panels[SPAN * PANEL_FLOATS] __attribute__((aligned(64)));
#endif
#if PACK_A
    float strip[STRIP_FLOATS] __attribute__((aligned(64)));
#endif
#if CHUNKS > 1
    float rest[BLOCKS * ROWS * SPAN * PANEL] __attribute__((aligned(64)));
#endif

#if PACK_B && COLUMNS % PANEL != 0
    if (left + span * PANEL > COLUMNS)
        for (int e = (span - 1) * PANEL_FLOATS; e < span * PANEL_FLOATS; e++)
            panels[e] = 0.0f; /* lanes that are not stored must not be denormal either: those are slow */
#endif
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        const int k0 = chunk * DEPTH;
        const int depth = CHUNKS == 1 ? K : LEAST(DEPTH, K - k0);
#if PACK_B
        pack_panels(B, panels, k0, depth, left, span);
#endif
        for (int block = first; block < last; block++) {
            const int top = LEAST(block * ROWS, M - ROWS);
#if PACK_A
            copy_strip(A, strip, k0, depth, top);
            STRIP_POINTER a = strip;
#else
            STRIP_POINTER a = A + (size_t)top * A_ROW + (size_t)k0 * A_COLUMN;
#endif
            for (int p = 0; p < span; p++) {
                const int column = left + p * PANEL;
#if PACK_B
                PANEL_POINTER panel = panels + p * PANEL_FLOATS;
#else
                PANEL_POINTER panel = B + (size_t)(column / PANEL) * PANEL_STEP + (size_t)k0 * B_ROW;
#endif
#if CHUNKS > 1
                float *kept = rest + ((block - first) * SPAN + p) * (ROWS * PANEL);
                multiply(a, panel, depth, chunk == 0, kept, chunk + 1 < CHUNKS ? kept : tile);
#else
                multiply(a, panel, depth, 1, tile, tile);
#endif
                if (chunk + 1 == CHUNKS)
                    for (int row = block * ROWS; row < top + ROWS; row++)
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            STORE_COLUMN(LOAD(tile + (row - top) * PANEL + v * LANES), column + v * LANES);
            }
        }
    }
}
