/* Packs filters into the panels that convolution.cl reads.
 *
 *   W[(group, column), row, tap]  -->  packed[group][panel][tap][row][PANEL columns]
 *
 * The columns are the channels that the convolution makes, the rows those that it sums over. Forward: columns are the
 * filters, rows their channels. For the gradient with respect to the input the parts are exchanged and the taps turned
 * round. Columns beyond the last are zero.
 *
 *   W, one tap:            packed, one panel and tap:
 *         rows                      PANEL
 *       +------+               +-----------+
 *  cols |      |   transposed  |           | rows
 *       |      |    ------>    |           |
 *       +------+               +-----------+
 *
 * Parameters
 *   LANES             width of a store
 *   PANEL             columns of a panel, a multiple of LANES
 *   PANELS            panels of one group
 *   COLUMNS, ROWS     extents within one group
 *   TAPS              taps of a filter
 *   GROUP_STRIDE, COLUMN_STRIDE, ROW_STRIDE   elements of W between neighbours
 *   TURN              1: the taps are turned round
 * Global ids: 0 = block of LANES columns of a panel, 1 = row, 2 = panel + PANELS * group. STORE(V, value, position).
 */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int row = get_global_id(1);
    const int panel = get_global_id(2);
    const int lane = (int)get_global_id(0) * LANES;
    const __global float *from = W + (size_t)(panel / PANELS) * GROUP_STRIDE + (size_t)row * ROW_STRIDE;
    for (int tap = 0; tap < TAPS; tap++) {
        float lanes[LANES];
        for (int l = 0; l < LANES; l++) {
            const int column = panel % PANELS * PANEL + lane + l;
            lanes[l] = column < COLUMNS ? from[(size_t)column * COLUMN_STRIDE + (TURN ? TAPS - 1 - tap : tap)] : 0.0f;
        }
        const size_t position = (((size_t)panel * TAPS + tap) * ROWS + row) * PANEL + lane;
        for (int l = 0; l < LANES; l++)
            STORE(1, lanes[l], position + l);
    }
}
