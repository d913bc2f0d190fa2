"""Every knob and its default, as literals only: the file is read by its syntax tree and never run by those who judge.

Names and defaults are those of the Parameter Golf MLX baseline (github.com/openai/parameter-golf, train_gpt_mlx.py);
schedules, which count steps there, are fractions of ITERATIONS here. What is in force, from the strongest: an
environment variable of the knob's name, `SIZES[SIZE]`, the default. A new knob needs a field of `config.Config`.
"""

# The model.
VOCAB_SIZE = 1024
NUM_LAYERS = 9
MODEL_DIM = 512
NUM_HEADS = 8
NUM_KV_HEADS = 4
MLP_MULT = 2
LOGIT_SOFTCAP = 30.0
ROPE_BASE = 10000.0
QK_GAIN_INIT = 1.5
TIED_EMBED_INIT_STD = 0.005

# Shared depth: the blocks LOOP_START to LOOP_END, counted from 0 and both included, are passed NUM_LOOPS times more.
LOOP_START = 0
LOOP_END = 0
NUM_LOOPS = 0  # 0 is off

# The batch: tokens of one optimizer step, and how many of them are in memory at a time.
TRAIN_SEQ_LEN = 1024
TRAIN_BATCH_TOKENS = 524288
MLX_MAX_MICROBATCH_TOKENS = 8192

# The optimizer: Muon for the matrices of the blocks, Adam for the embedding and for everything small.
MATRIX_LR = 0.04
TIED_EMBED_LR = 0.05
SCALAR_LR = 0.04
BETA1 = 0.9
BETA2 = 0.95
ADAM_EPS = 1e-8
MUON_MOMENTUM = 0.95
MUON_MOMENTUM_WARMUP_START = 0.85
MUON_BACKEND_STEPS = 5
GRAD_CLIP_NORM = 0.0  # 0 is off

# Schedules, as fractions of ITERATIONS.
WARMDOWN_FRAC = 0.33
MUON_MOMENTUM_WARMUP_FRAC = 1.0

# What is exported. QAT_FRAC is a fraction of ITERATIONS, the last ones: there gradients are taken at the weights as the
# export would store them. EMA_DECAY makes what is exported an exponential moving average of the weights.
QAT_FRAC = 0.0  # 0 is off
EMA_DECAY = 0.0  # 0 is off

# The export. Name patterns are comma-separated parts of tensor names.
QUANT_BITS = 8  # or 6: levels from -31 to 31 in place of -127 to 127
PROTECTED_NAMES = ""  # tensors that stay at 8 bits when QUANT_BITS is 6: "tok_emb"
INT8_CLIP_PERCENTILE = 99.99984
INT8_SCALE_FLOOR = 0.007874015748031496  # 1/127: a row below 1 in magnitude is stored in steps of 1/127
KEEP_FLOAT_MAX_NUMEL = 65536  # tensors of up to so many elements stay fp16
KEEP_FLOAT_NAMES = ""  # tensors that stay fp16 whatever their size: "c_k,c_v", "tok_emb"
CONTROL_TENSOR_NAME_PATTERNS = (
    "attn_scale,mlp_scale,resid_mix,q_gain,skip_weights"  # Adam trains them, fp32 stores them
)
ZSTD_LEVEL = 19

# 1 takes the plain forms of model.py where fast.py has twins of them: to compare the two, not to train better.
PLAIN = 0

# KEEP_FLOAT_MAX_NUMEL shrinks with the square of the width, so that the matrices are quantized at every size.
SIZES = {
    "tiny": {
        "NUM_LAYERS": 4,
        "MODEL_DIM": 128,
        "NUM_HEADS": 4,
        "NUM_KV_HEADS": 2,
        "TRAIN_SEQ_LEN": 256,
        "TRAIN_BATCH_TOKENS": 4096,
        "MLX_MAX_MICROBATCH_TOKENS": 4096,
        "KEEP_FLOAT_MAX_NUMEL": 4096,
    },
    "small": {
        "NUM_LAYERS": 6,
        "MODEL_DIM": 256,
        "NUM_HEADS": 4,
        "NUM_KV_HEADS": 2,
        "TRAIN_SEQ_LEN": 512,
        "TRAIN_BATCH_TOKENS": 8192,
        "KEEP_FLOAT_MAX_NUMEL": 16384,
    },
    "golf": {},
}

# What a knob search may try: (scale, lowest, highest).
RANGES = {
    "MATRIX_LR": ("log", 0.005, 0.16),
    "TIED_EMBED_LR": ("log", 0.005, 0.2),
    "SCALAR_LR": ("log", 0.005, 0.16),
    "BETA1": ("linear", 0.7, 0.95),
    "BETA2": ("linear", 0.9, 0.999),
    "MUON_MOMENTUM": ("linear", 0.85, 0.99),
    "MUON_MOMENTUM_WARMUP_START": ("linear", 0.7, 0.95),
    "MUON_MOMENTUM_WARMUP_FRAC": ("linear", 0.0, 1.0),
    "MUON_BACKEND_STEPS": ("int", 3, 8),
    "GRAD_CLIP_NORM": ("log", 0.1, 4.0),
    "WARMDOWN_FRAC": ("linear", 0.1, 1.0),
    "LOGIT_SOFTCAP": ("log", 8.0, 60.0),
    "QK_GAIN_INIT": ("log", 0.5, 6.0),
    "TIED_EMBED_INIT_STD": ("log", 0.001, 0.05),
    "ROPE_BASE": ("log", 500.0, 100000.0),
    "INT8_SCALE_FLOOR": ("log", 0.0005, 0.008),
    "QAT_FRAC": ("linear", 0.0, 1.0),
    "EMA_DECAY": ("linear", 0.0, 0.99),
}
