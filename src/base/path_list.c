#include "base/path_list.h"

#include <string.h>

#include "base/file.h"

bool dele_path_list_exists(char *entry) { return dele_path_exists(entry); }

char *dele_path_list_next(char **list, bool (*whole)(char *entry))
{
    char *entry = *list;
    for (char *comma = entry ? strchr(entry, ',') : NULL; entry; comma = strchr(comma + 1, ',')) {
        if (comma) *comma = '\0';
        if (whole(entry)) {
            *list = comma ? comma + 1 : NULL;
            break;
        }
        if (!comma) return strsep(list, ",");
        *comma = ',';
    }
    return entry;
}
