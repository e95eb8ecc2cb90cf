/* The transforms of Winograd's method with 4 outputs and 3 taps: 6 numbers of the data and 6 of the filter are
 * multiplied pairwise. They are the values of polynomials at 0, a, -a, b, -b and infinity, with a = 2/3 and b = 3/2.
 *
 * Because a * b = 1, the factors of all transforms are close to 1. With the usual points 1 and 2, the largest errors
 * are about four times as large.
 */
#define POINT_A 0.66666667f /* a */
#define POINT_B 1.5f        /* b */
#define SQUARE_A 0.44444444f
#define SQUARE_B 2.25f
#define CUBE_A 0.29629630f
#define CUBE_B 3.375f
#define SQUARES 2.6944444f    /* a^2 + b^2 */
#define SCALE_A -0.62307692f  /* 1 / (2 (a^4 - 1)) */
#define SCALE_B 0.12307692f   /* 1 / (2 (b^4 - 1)) */

/* to[6] = B' d[6] */
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

/* to[6] = G g[3] */
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

/* to[4] = A' m[6] */
#define TRANSFORM_SUMS(m, to)                                                                                          \
    do {                                                                                                               \
        const __typeof__(m[0]) even_a_ = m[1] + m[2], odd_a_ = m[1] - m[2];                                            \
        const __typeof__(m[0]) even_b_ = m[3] + m[4], odd_b_ = m[3] - m[4];                                            \
        (to)[0] = m[0] + even_a_ + even_b_;                                                                            \
        (to)[1] = POINT_A * odd_a_ + POINT_B * odd_b_;                                                                 \
        (to)[2] = SQUARE_A * even_a_ + SQUARE_B * even_b_;                                                             \
        (to)[3] = CUBE_A * odd_a_ + CUBE_B * odd_b_ + m[5];                                                            \
    } while (0)

/* to[6] = A g[4]: of the gradient of the outputs */
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

/* to[3] = G' m[6]: of the gradient of the transformed filter */
#define TRANSFORM_WEIGHTS(m, to)                                                                                       \
    do {                                                                                                               \
        const __typeof__(m[0]) even_a_ = SCALE_A * (m[1] + m[2]), odd_a_ = m[1] - m[2];                                \
        const __typeof__(m[0]) even_b_ = SCALE_B * (m[3] + m[4]), odd_b_ = m[3] - m[4];                                \
        (to)[0] = m[0] + even_a_ + even_b_;                                                                            \
        (to)[1] = (SCALE_A * POINT_A) * odd_a_ + (SCALE_B * POINT_B) * odd_b_;                                         \
        (to)[2] = SQUARE_A * even_a_ + SQUARE_B * even_b_ + m[5];                                                      \
    } while (0)
