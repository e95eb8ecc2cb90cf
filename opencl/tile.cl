/* The common part of the CPU kernels: vectors of LANES floats, and the stores of vectors that cross the edge.
 *
 * Parameters
 *   LANES    floats of a vector: 4, 8 or 16
 *   COLUMNS  extent of the output along its vector coordinate
 *
 * A kernel defines STORE_AT(V, value, column), which adds the other coordinates. It stores with STORE_COLUMN.
 */
#define VECTOR JOIN(float, LANES)

/* The head of a kernel whose work-group is one work-item, with the global ids ITEM(0), ITEM(1) and ITEM(2). The block
 * that follows is the body of a function that the kernel calls. */
#define ITEM_KERNEL                                                                                                    \
    CALLED void JOIN(KERNEL_NAME, _item)(KERNEL_PARAMETERS, const int item_0, const int item_1, const int item_2);     \
    __kernel __attribute__((reqd_work_group_size(1, 1, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)                        \
    {                                                                                                                  \
        JOIN(KERNEL_NAME, _item)(KERNEL_ARGUMENTS, get_global_id(0), get_global_id(1), get_global_id(2));              \
    }                                                                                                                  \
    CALLED void JOIN(KERNEL_NAME, _item)(KERNEL_PARAMETERS, const int item_0, const int item_1, const int item_2)
#define ITEM(k) item_##k

/* Vectors at any float's address. PoCL does not inline vloadN, vstoreN and fma when LLVM's idea of the processor lacks
 * a feature that its built-in library was compiled with: a call per vector makes a kernel five times slower. */
typedef float unaligned2 __attribute__((ext_vector_type(2), aligned(4)));
typedef float unaligned4 __attribute__((ext_vector_type(4), aligned(4)));
typedef float unaligned8 __attribute__((ext_vector_type(8), aligned(4)));
typedef float unaligned16 __attribute__((ext_vector_type(16), aligned(4)));
#define LOAD_PRIVATE(V, pointer) (*(const JOIN(unaligned, V) *)(pointer))
#define SAVE_PRIVATE(V, value, pointer) (*(JOIN(unaligned, V) *)(pointer) = (value))
#define LOAD(pointer) LOAD_PRIVATE(LANES, pointer)
#define SAVE(value, pointer) SAVE_PRIVATE(LANES, value, pointer)
#define LEAST(a, b) ((a) < (b) ? (a) : (b))

#define EDGE (COLUMNS % LANES) /* lanes of the last vector, 0 when all vectors are full */

/* Stores the lanes of `value` that lie inside the output; the column of its first lane is a multiple of LANES. */
#define STORE_COLUMN(value, column)                                                                                    \
    do {                                                                                                               \
        const int first_ = (column);                                                                                   \
        if (first_ + LANES <= COLUMNS) {                                                                               \
            STORE_AT(LANES, value, first_);                                                                            \
        } else if (EDGE != 0 && first_ < COLUMNS) {                                                                    \
            float edge_[LANES + 8];                                                                                    \
            SAVE(value, edge_);                                                                                        \
            if (EDGE & 8) STORE_AT(8, LOAD_PRIVATE(8, edge_), first_);                                                 \
            if (EDGE & 4) STORE_AT(4, LOAD_PRIVATE(4, edge_ + (EDGE & 8)), first_ + (EDGE & 8));                       \
            if (EDGE & 2) STORE_AT(2, LOAD_PRIVATE(2, edge_ + (EDGE & 12)), first_ + (EDGE & 12));                     \
            if (EDGE & 1) STORE_AT(1, edge_[EDGE & 14], first_ + (EDGE & 14));                                         \
        }                                                                                                              \
    } while (0)

/* Copies `count` elements of an operand, a constant below 16, from global to private memory. */
#define COPY_PIECES(operand, count, from, to)                                                                          \
    do {                                                                                                               \
        if ((count) & 8) SAVE_PRIVATE(8, READ(operand, 8, from), to);                                                  \
        if ((count) & 4) SAVE_PRIVATE(4, READ(operand, 4, (from) + ((count) & 8)), (to) + ((count) & 8));              \
        if ((count) & 2) SAVE_PRIVATE(2, READ(operand, 2, (from) + ((count) & 12)), (to) + ((count) & 12));            \
        if ((count) & 1) (to)[(count) & 14] = READ(operand, 1, (from) + ((count) & 14));                               \
    } while (0)

/* Transposes LANES vectors in registers: log2(LANES) rounds, each of which interleaves the rows of both halves. */
inline void transpose(VECTOR *rows)
{
    VECTOR mixed[LANES];
    #pragma unroll
    for (int round = 1; round < LANES; round *= 2) {
        #pragma unroll
        for (int r = 0; r < LANES / 2; r++) {
            mixed[2 * r].even = rows[r].lo;
            mixed[2 * r].odd = rows[r + LANES / 2].lo;
            mixed[2 * r + 1].even = rows[r].hi;
            mixed[2 * r + 1].odd = rows[r + LANES / 2].hi;
        }
        #pragma unroll
        for (int r = 0; r < LANES; r++)
            rows[r] = mixed[r];
    }
}
