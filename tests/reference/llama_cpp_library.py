"""llama.cpp's C functions, in the library of the package xllamacpp, for the scripts beside this file."""
import ctypes
import glob
import os

import xllamacpp


class Params(ctypes.Structure):  # passed by value; larger than either of llama.cpp's, whose fields are not needed
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [(f"pointer{i}", ctypes.c_void_p) for i in range(6)]


def library():
    lib = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
    for name, result, *arguments in [
            ("llama_model_default_params", Params), ("llama_context_default_params", Params),
            ("llama_model_load_from_file", pointer, text, Params), ("llama_init_from_model", pointer, pointer, Params),
            ("llama_model_get_vocab", pointer, pointer), ("llama_model_free", None, pointer), ("llama_vocab_n_tokens", number, pointer),
            ("llama_tokenize", number, pointer, text, number, pointer, number, ctypes.c_bool, ctypes.c_bool),
            ("llama_batch_get_one", Batch, pointer, number), ("llama_decode", number, pointer, Batch),
            ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), pointer, number)]:
        getattr(lib, name).restype = result
        getattr(lib, name).argtypes = arguments
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, text, pointer)(lambda *_: None)
    lib.llama_log_set(quiet, None)
    lib.quiet = quiet
    lib.llama_backend_init()
    return lib


def load(lib, file):
    model = lib.llama_model_load_from_file(file.encode(), lib.llama_model_default_params())
    assert model, f"llama.cpp refuses {file}"
    return model


def tokenize(lib, vocab, text, special=True):
    """special: with BOS where it adds one.  The text of a special token is that token."""
    data = text.encode()
    room = (ctypes.c_int32 * (len(data) + 16))()
    return list(room[:lib.llama_tokenize(vocab, data, len(data), room, len(room), special, True)])
