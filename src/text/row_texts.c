#include "text/row_texts.h"

static const struct {
    const char *prompt, *output;
} pairs[] = {{"input", "output"}, {"question", "answer"}, {"prompt", "attribute"}};

bool dele_row_texts_of(dele_row_texts *texts, const cJSON *row)
{
    *texts =
        (dele_row_texts){.joined = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "joined"))};
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        texts->prompt =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, pairs[k].prompt));
        texts->output =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, pairs[k].output));
        if (texts->prompt && texts->output) return true;
    }
    return false;
}
