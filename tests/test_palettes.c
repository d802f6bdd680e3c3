/* The heatmaps' colours, read from the script that draws with them: lightness falls all the way
 * along each, so that grey print and colour-blind readers see the same order, and the two sides of
 * zero stay apart for colour-blind eyes.
 *
 * Lightness is CIE L*, 0 black to 100 white.  Protanopia and deuteranopia as Machado, Oliveira &
 * Fernandes (2009) have them at full severity, on linear RGB. */
#include "claims.h"

#include "base/file.h"

enum { STOPS = 5 };

typedef struct {
    double stop[STOPS][3];
} palette;

static const char *const names[] = {"purple", "green", "red", "orange", "blue"};
static const double normal[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                    protan[9] = {.152286, 1.052583, -.204868, .114503, .786281,
                                 .099216, -.003882, -.048116, 1.051998},
                    deutan[9] = {.367322, .860646,  -.227968, .280085, .672501,
                                 .047413, -.011820, .042940,  .968881};
static const double *const eyes[] = {normal, protan, deutan};

/* Takes the line NAME_steps = "#rrggbb ..." out of a file's text. */
static void read_palette(palette *p, const char *text, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "\n%s_steps", name);
    const char *at = strstr(text, key);
    assert_non_null(at);
    at = strchr(at, '"') + 1;
    for (int i = 0; i < STOPS; i++) {
        unsigned rgb;
        assert_int_equal(sscanf(at, " #%6x", &rgb), 1);
        at = strchr(at, '#') + 7;
        for (int k = 0; k < 3; k++) p->stop[i][k] = (rgb >> (16 - 8 * k) & 255) / 255.0;
    }
    assert_int_equal(*at, '"');
}

static double linear(double c) { return c <= .04045 ? c / 12.92 : pow((c + .055) / 1.055, 2.4); }

static double lab_root(double x)
{
    return x > 216. / 24389 ? cbrt(x) : (24389. / 27 * x + 16) / 116;
}

/* What an eye sees of the colour at x in [0, 1] of the palette, as CIE L*a*b* (D65). */
static void seen(double lab[3], const palette *p, double x, const double eye[9])
{
    static const double xyz[9] = {.4124564, .3575761, .1804375, .2126729, .7151522,
                                  .0721750, .0193339, .1191920, .9503041},
                        white[3] = {.95047, 1, 1.08883};
    int i = x >= 1 ? STOPS - 2 : (int)(x * (STOPS - 1));
    double f = x * (STOPS - 1) - i, rgb[3], dim[3], root[3];
    for (int k = 0; k < 3; k++)
        rgb[k] = linear(p->stop[i][k] + f * (p->stop[i + 1][k] - p->stop[i][k]));
    for (int k = 0; k < 3; k++)
        dim[k] = fmin(
            1, fmax(0, eye[3 * k] * rgb[0] + eye[3 * k + 1] * rgb[1] + eye[3 * k + 2] * rgb[2]));
    for (int k = 0; k < 3; k++)
        root[k] = lab_root(
            (xyz[3 * k] * dim[0] + xyz[3 * k + 1] * dim[1] + xyz[3 * k + 2] * dim[2]) / white[k]);
    lab[0] = 116 * root[1] - 16;
    lab[1] = 500 * (root[0] - root[1]);
    lab[2] = 200 * (root[1] - root[2]);
}

static char *script(dele_arena *arena)
{
    dele_err err = {0};
    char *text = dele_file_read(DELE_TESTS_DIR "/../plots/heatmap.gp", arena, NULL, &err);
    assert_non_null(text);
    return text;
}

static void lightness_falls_all_the_way_for_every_eye(void **state)
{
    (void)state;
    dele_arena arena = {0};
    const char *text = script(&arena);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t eye = 0; eye < sizeof eyes / sizeof *eyes; eye++) {
            palette p;
            double before[3], now[3];
            read_palette(&p, text, names[n]);
            seen(before, &p, 0, eyes[eye]);
            assert_true(before[0] > 97); /* the centre is white, whatever the hue */
            for (int i = 1; i <= 256; i++) {
                seen(now, &p, i / 256., eyes[eye]);
                assert_true(now[0] < before[0]);
                memcpy(before, now, sizeof before);
            }
            assert_true(before[0] < 25);
        }
    dele_arena_release(&arena);
}

/* No quarter of the scale may be flat: equal steps of value are at least six steps of L*. */
static void no_part_of_a_scale_is_flat(void **state)
{
    (void)state;
    dele_arena arena = {0};
    const char *text = script(&arena);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (int i = 0; i < 4; i++) {
            palette p;
            double a[3], b[3];
            read_palette(&p, text, names[n]);
            seen(a, &p, i / 4., normal);
            seen(b, &p, (i + 1) / 4., normal);
            assert_true(a[0] - b[0] >= 6);
        }
    dele_arena_release(&arena);
}

static void the_two_sides_of_zero_look_different_to_every_eye(void **state)
{
    (void)state;
    static const int pair[3][2] = {
        {0, 3}, {1, 0}, {2, 4}}; /* purple and orange, green and purple, red and blue */
    dele_arena arena = {0};
    const char *text = script(&arena);
    for (int i = 0; i < 3; i++)
        for (size_t eye = 0; eye < sizeof eyes / sizeof *eyes; eye++)
            for (int k = 2; k <= 3; k++) { /* at half and three quarters of the scale */
                palette own, other;
                double a[3], b[3];
                read_palette(&own, text, names[pair[i][0]]);
                read_palette(&other, text, names[pair[i][1]]);
                seen(a, &own, k / 4., eyes[eye]);
                seen(b, &other, k / 4., eyes[eye]);
                assert_true(hypot(hypot(a[0] - b[0], a[1] - b[1]), a[2] - b[2]) >
                            20); /* ten times a visible difference */
            }
    dele_arena_release(&arena);
}

/* The page draws with the same colours: a line NAME: "..." with the very steps of the script. */
static void the_page_has_the_same_colours(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    const char *text = script(&arena),
               *page = dele_file_read(DELE_TESTS_DIR "/../plots/page.html", &arena, NULL, &err);
    assert_non_null(page);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char key[32];
        snprintf(key, sizeof key, "\n%s_steps", names[n]);
        const char *steps = strchr(strstr(text, key), '"');
        char *line = dele_printf(&arena, &err, "\n  %s: %.*s,", names[n],
                                 (int)(strchr(steps + 1, '"') - steps + 1), steps);
        assert_non_null(line);
        assert_non_null(strstr(page, line));
    }
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lightness_falls_all_the_way_for_every_eye),
        cmocka_unit_test(no_part_of_a_scale_is_flat),
        cmocka_unit_test(the_two_sides_of_zero_look_different_to_every_eye),
        cmocka_unit_test(the_page_has_the_same_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
