/* The templates of layouts/, which CMakeLists.txt turns into C. */
#ifndef DELE_LAYOUT_TEXTS_H
#define DELE_LAYOUT_TEXTS_H

typedef struct {
    const char *name, *text;
} dele_layout_text;

extern const dele_layout_text dele_layout_texts[]; /* ends with {NULL} */

#endif
