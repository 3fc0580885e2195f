from .base import (
    Generation as Generation,
    Message as Message,
    Model as Model,
    Prompt as Prompt,
    Scored as Scored,
    TooLong as TooLong,
    require as require,
    weighs as weighs,
)
from .encoder import load_encoder as load_encoder
from .forward import check_length as check_length, max_tokens as max_tokens
from .loading import load as load
from .memory import fit as fit
from .seq2seq import load_seq2seq as load_seq2seq
