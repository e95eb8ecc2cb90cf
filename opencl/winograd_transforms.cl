/* The transforms of Winograd's method with OUTPUTS outputs and 3 taps: SIDE = OUTPUTS + 2 numbers of the data and of
 * the filter are multiplied pairwise. They are the values of polynomials at some points and at infinity.
 *
 * Parameter
 *   OUTPUTS  4: the points are 0, a, -a, b, -b with a = 2/3 and b = 3/2. Because a * b = 1, the factors of all
 *            transforms are close to 1. With the usual points 1 and 2, the largest errors are about four times as
 *            large.
 *            2: the points are 0, 1, -1.
 *
 *   TRANSFORM_DATA(d, to)      to[SIDE] = B' d[SIDE]
 *   TRANSFORM_FILTER(g, to)    to[SIDE] = G g[3]
 *   TRANSFORM_SUMS(m, to)      to[OUTPUTS] = A' m[SIDE]
 *   TRANSFORM_GRADIENT(g, to)  to[SIDE] = A g[OUTPUTS]: of the gradient of the outputs
 *   TRANSFORM_WEIGHTS(m, to)   to[3] = G' m[SIDE]: of the gradient of the transformed filter
 */
#define SIDE (OUTPUTS + 2)
#define POSITIONS (SIDE * SIDE)

#if OUTPUTS == 4

#define POINT_A 0.66666667f /* a */
#define POINT_B 1.5f        /* b */
#define SQUARE_A 0.44444444f
#define SQUARE_B 2.25f
#define CUBE_A 0.29629630f
#define CUBE_B 3.375f
#define SQUARES 2.6944444f    /* a^2 + b^2 */
#define SCALE_A -0.62307692f  /* 1 / (2 (a^4 - 1)) */
#define SCALE_B 0.12307692f   /* 1 / (2 (b^4 - 1)) */

#define TRANSFORM_DATA(d, to)                                                                                          \
    do {                                                                                                               \
        const __typeof__(d[0]) even_a_ = d[4] - SQUARE_B * d[2], odd_a_ = POINT_A * d[3] - POINT_B * d[1];             \
        const __typeof__(d[0]) even_b_ = d[4] - SQUARE_A * d[2], odd_b_ = POINT_B * d[3] - POINT_A * d[1];             \
        (to)[0] = d[0] + d[4] - SQUARES * d[2];                                                                        \
        (to)[1] = even_a_ + odd_a_;                                                                                    \
        (to)[2] = even_a_ - odd_a_;                                                                                    \
        (to)[3] = even_b_ + odd_b_;                                                                                    \
        (to)[4] = even_b_ - odd_b_;                                                                                    \
        (to)[5] = d[1] + d[5] - SQUARES * d[3];                                                                        \
    } while (0)

#define TRANSFORM_FILTER(g, to)                                                                                        \
    do {                                                                                                               \
        const __typeof__(g[0]) even_a_ = SCALE_A * (g[0] + SQUARE_A * g[2]), odd_a_ = (SCALE_A * POINT_A) * g[1];      \
        const __typeof__(g[0]) even_b_ = SCALE_B * (g[0] + SQUARE_B * g[2]), odd_b_ = (SCALE_B * POINT_B) * g[1];      \
        (to)[0] = g[0];                                                                                                \
        (to)[1] = even_a_ + odd_a_;                                                                                    \
        (to)[2] = even_a_ - odd_a_;                                                                                    \
        (to)[3] = even_b_ + odd_b_;                                                                                    \
        (to)[4] = even_b_ - odd_b_;                                                                                    \
        (to)[5] = g[2];                                                                                                \
    } while (0)

#define TRANSFORM_SUMS(m, to)                                                                                          \
    do {                                                                                                               \
        const __typeof__(m[0]) even_a_ = m[1] + m[2], odd_a_ = m[1] - m[2];                                            \
        const __typeof__(m[0]) even_b_ = m[3] + m[4], odd_b_ = m[3] - m[4];                                            \
        (to)[0] = m[0] + even_a_ + even_b_;                                                                            \
        (to)[1] = POINT_A * odd_a_ + POINT_B * odd_b_;                                                                 \
        (to)[2] = SQUARE_A * even_a_ + SQUARE_B * even_b_;                                                             \
        (to)[3] = CUBE_A * odd_a_ + CUBE_B * odd_b_ + m[5];                                                            \
    } while (0)

#define TRANSFORM_GRADIENT(g, to)                                                                                      \
    do {                                                                                                               \
        const __typeof__(g[0]) even_a_ = g[0] + SQUARE_A * g[2], odd_a_ = POINT_A * g[1] + CUBE_A * g[3];              \
        const __typeof__(g[0]) even_b_ = g[0] + SQUARE_B * g[2], odd_b_ = POINT_B * g[1] + CUBE_B * g[3];              \
        (to)[0] = g[0];                                                                                                \
        (to)[1] = even_a_ + odd_a_;                                                                                    \
        (to)[2] = even_a_ - odd_a_;                                                                                    \
        (to)[3] = even_b_ + odd_b_;                                                                                    \
        (to)[4] = even_b_ - odd_b_;                                                                                    \
        (to)[5] = g[3];                                                                                                \
    } while (0)

#define TRANSFORM_WEIGHTS(m, to)                                                                                       \
    do {                                                                                                               \
        const __typeof__(m[0]) even_a_ = SCALE_A * (m[1] + m[2]), odd_a_ = m[1] - m[2];                                \
        const __typeof__(m[0]) even_b_ = SCALE_B * (m[3] + m[4]), odd_b_ = m[3] - m[4];                                \
        (to)[0] = m[0] + even_a_ + even_b_;                                                                            \
        (to)[1] = (SCALE_A * POINT_A) * odd_a_ + (SCALE_B * POINT_B) * odd_b_;                                         \
        (to)[2] = SQUARE_A * even_a_ + SQUARE_B * even_b_ + m[5];                                                      \
    } while (0)

#else

#define TRANSFORM_DATA(d, to)                                                                                          \
    do {                                                                                                               \
        (to)[0] = d[0] - d[2];                                                                                         \
        (to)[1] = d[1] + d[2];                                                                                         \
        (to)[2] = d[2] - d[1];                                                                                         \
        (to)[3] = d[3] - d[1];                                                                                         \
    } while (0)

#define TRANSFORM_FILTER(g, to)                                                                                        \
    do {                                                                                                               \
        const __typeof__(g[0]) even_ = 0.5f * (g[0] + g[2]), odd_ = 0.5f * g[1];                                       \
        (to)[0] = g[0];                                                                                                \
        (to)[1] = even_ + odd_;                                                                                        \
        (to)[2] = even_ - odd_;                                                                                        \
        (to)[3] = g[2];                                                                                                \
    } while (0)

#define TRANSFORM_SUMS(m, to)                                                                                          \
    do {                                                                                                               \
        (to)[0] = m[0] + (m[1] + m[2]);                                                                                \
        (to)[1] = (m[1] - m[2]) + m[3];                                                                                \
    } while (0)

#define TRANSFORM_GRADIENT(g, to)                                                                                      \
    do {                                                                                                               \
        (to)[0] = g[0];                                                                                                \
        (to)[1] = g[0] + g[1];                                                                                         \
        (to)[2] = g[0] - g[1];                                                                                         \
        (to)[3] = g[1];                                                                                                \
    } while (0)

#define TRANSFORM_WEIGHTS(m, to)                                                                                       \
    do {                                                                                                               \
        const __typeof__(m[0]) even_ = 0.5f * (m[1] + m[2]);                                                           \
        (to)[0] = m[0] + even_;                                                                                        \
        (to)[1] = 0.5f * (m[1] - m[2]);                                                                                \
        (to)[2] = even_ + m[3];                                                                                        \
    } while (0)

#endif
