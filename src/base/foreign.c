#include "base/foreign.h"

#include <stdbool.h>
#include <string.h>

typedef struct {
    const char *magic;
    size_t n;
    const char *data, *model; /* the advice where data, or a model, is expected; NULL: none */
} format;

#define UNPACK(name, command) name "; unpack it first: " command

static const format formats[] = {
    {"PAR1", 4,
     "is a parquet file; make JSON lines of it: python3 experiments/parquet_rows.py IN.parquet "
     "OUT.jsonl",
     NULL},
    {"ARROW1", 6,
     "is an Arrow file; make JSON lines of it, as with Dataset.to_json of Hugging Face's datasets",
     NULL},
    {"\xff\xff\xff\xff", 4,
     "is an Arrow stream; make JSON lines of it, as with Dataset.to_json of Hugging Face's "
     "datasets",
     NULL},
    {"\x1f\x8b", 2, UNPACK("is packed by gzip", "gunzip FILE.gz"),
     UNPACK("is packed by gzip", "gunzip FILE.gz, or tar -xzf FILE")},
    {"\x28\xb5\x2f\xfd", 4, UNPACK("is packed by zstd", "zstd -d FILE.zst"),
     UNPACK("is packed by zstd", "zstd -d FILE.zst")},
    {"BZh", 3, UNPACK("is packed by bzip2", "bunzip2 FILE.bz2"),
     UNPACK("is packed by bzip2", "bunzip2 FILE.bz2")},
    {"\xfd"
     "7zXZ",
     5, UNPACK("is packed by xz", "unxz FILE.xz"), UNPACK("is packed by xz", "unxz FILE.xz")},
    {"PK\3\4", 4, UNPACK("is a zip archive", "unzip FILE.zip"),
     "is a zip archive, as PyTorch's pytorch_model.bin and .pt are; save the model as safetensors: "
     "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT), and give OUT"},
    {"GGUF", 4, "is a model (GGUF), not data", NULL},
};

static const char PICKLE_DATA[] =
    "is a Python pickle, which can run code and is not loaded; save the data as JSON lines";
static const char PICKLE_MODEL[] =
    "is a Python pickle (an older pytorch_model.bin or .pt), which can run code and is not loaded; "
    "save the model as safetensors: AutoModelForCausalLM.from_pretrained(DIR)"
    ".save_pretrained(OUT), and give OUT";
static const char SAFETENSORS[] =
    "is a safetensors file; give the directory that holds it, with its config.json";

static bool is_pickle(const unsigned char *b, size_t n)
{
    return n > 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5;
}

static const format *find(const void *bytes, size_t n)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (n >= formats[i].n && !memcmp(bytes, formats[i].magic, formats[i].n)) return &formats[i];
    return NULL;
}

const char *dele_foreign_data(const void *bytes, size_t n)
{
    const format *f = find(bytes, n);
    return f ? f->data : is_pickle(bytes, n) ? PICKLE_DATA : NULL;
}

const char *dele_foreign_model(const void *bytes, size_t n)
{
    const format *f = find(bytes, n);
    const unsigned char *b = bytes;
    if (f) return f->model;
    if (n > 9 && b[8] == '{' && !b[5] && !b[6] && !b[7])
        return SAFETENSORS; /* a length below 2^40, and JSON */
    return is_pickle(bytes, n) ? PICKLE_MODEL : NULL;
}
