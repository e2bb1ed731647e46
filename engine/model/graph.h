/* SPDX-License-Identifier: MIT */
/*
 * The graph: tensors, nodes, channel groups and exits. One graph describes every level.
 *
 * Layout. Activations are dense and row-major with the channel axis last (NHWC; sequences are
 * N,1,T,C or N,T,C), so the first c channels of a tensor are a tensor of their own. Dimension 0 is
 * the batch, always 1 in the engine. Importers that read other layouts insert NE_OP_TRANSPOSE and
 * cancel it.
 *
 * Ownership. A graph owns every name, constant and array reachable from it; ne_graph_done() frees
 * them. Ids are indices: tensors and nodes are never removed except by ne_graph_compact().
 */
#ifndef NE_GRAPH_H
#define NE_GRAPH_H

#include "engine/base.h"

enum ne_dtype {
	NE_F32 = 1,
	NE_F16 = 2, /* storage only: widened to f32 when read */
	NE_S8 = 3,
	NE_U8 = 4,
	NE_S16 = 5,
	NE_S32 = 6,
	NE_S64 = 7,
	NE_BOOL = 8,
};

enum ne_op {
	NE_OP_INVALID = 0,
	/* Weights of conv, dwconv and dense are of their input's type, or u8 beside s8: then their
	 * scale and zero point, one of each, are in struct ne_width. */
	NE_OP_CONV = 1,   /* x [1,H,W,IC], w [OC,KH,KW,IC/groups], bias? [OC] */
	NE_OP_DWCONV = 2, /* depthwise, multiplier 1: x [1,H,W,C], w [KH,KW,C], bias? [C] */
	NE_OP_DENSE = 3,  /* x [..,I], w [O,I], bias? [O] */
	NE_OP_MAXPOOL = 4,
	NE_OP_AVGPOOL = 5,
	NE_OP_GLOBALPOOL = 6, /* mean over H and W: [1,H,W,C] -> [1,C] */
	NE_OP_ADD = 7,        /* same shape, or broadcast (right-aligned) */
	NE_OP_CONCAT = 8,     /* attr.axis; along channels its inputs are never cut */
	NE_OP_RELU = 9,
	NE_OP_RELU6 = 10,
	NE_OP_HARDSWISH = 11,
	NE_OP_SIGMOID = 12,
	NE_OP_TANH = 13,
	NE_OP_SOFTMAX = 14,    /* attr.axis */
	NE_OP_BATCHNORM = 15,  /* x, gamma, beta, mean, var; folded before a plan is built */
	NE_OP_RESHAPE = 16,    /* to the output tensor's shape; flatten too */
	NE_OP_PAD = 17,        /* attr.pad */
	NE_OP_QUANTISE = 18,   /* f32, u8 or s8 to s8 */
	NE_OP_DEQUANTISE = 19, /* u8, s8 or s16 to f32: (q - zero) * scale */
	NE_OP_TRANSPOSE = 20,  /* attr.perm */
	NE_OP_MUL = 21,        /* as add */
	NE_OP_LOGMEL = 22,     /* x s16 or f32 [1,samples] -> f32 [1,frames,bins,1]; attr.mel */
	/*
	 * Operators of any type and rank, each a family whose member is attr.kind. Quantised tensors
	 * (scale > 0) are real values to them, others of an integer type are integers.
	 */
	NE_OP_UNARY = 23,  /* enum ne_unary */
	NE_OP_BINARY = 24, /* enum ne_binary; broadcast */
	NE_OP_WHERE = 25,  /* bool, a, b; broadcast */
	NE_OP_REDUCE = 26, /* enum ne_reduce; over attr.axes, which stay with length 1 */
	NE_OP_CAST = 27,   /* values, from any type to any: truncated and clamped */
	NE_OP_SLICE = 28,  /* attr.slice */
	/* x, then for each axis a constant s32 vector of positions in x, or NE_NONE = all of them.
	 * Position -1 stands for attr.value. Tiles, flips, broadcasts, pads, repeats. */
	NE_OP_PICK = 29,
	NE_OP_GATHER = 30,           /* x, s32 or s64 indices of any shape; along attr.axis */
	NE_OP_GATHER_ELEMENTS = 31,  /* x, an index for each element; along attr.axis */
	NE_OP_GATHER_ND = 32,        /* x, tuples of indices in the last axis; attr.axis batches */
	NE_OP_SCATTER_ELEMENTS = 33, /* x, indices, updates; attr.kind 0 put, add, mul, max, min */
	NE_OP_SCATTER_ND = 34,       /* x, tuples of indices, updates; attr.kind as above */
	NE_OP_MATMUL = 35,           /* f32 [..,M,K] by [..,K,N], both computed */
	NE_OP_CUMSUM = 36,           /* along attr.axis; attr.kind 1 exclusive + 2 reverse */
	/* The first attr.slice.size[axis] along attr.axis of the largest (attr.kind 0) or smallest (1)
	 * first; a second output has their places, s64. */
	NE_OP_TOPK = 37,
	/*
	 * Recurrence over time, attr.recurrent; inputs and outputs as engine/op/recurrent.c tells.
	 * LSTM: y, last state, last cell (kept within +-attr.value where that is > 0); the others: y,
	 * last state.
	 */
	NE_OP_LSTM = 70,
	NE_OP_GRU = 71,
	NE_OP_RNN = 72,
	/* x f32 [1,samples] or [1,samples,1], window [frame], filters [bins, fft / 2 + 1] -> f32
	 * [1,frames,bins]: the filters' sums of |DFT|^2; of attr.mel hop, frame and fft */
	NE_OP_SPECTRUM = 110,
	/* x [N,H,W,C] interpolated to attr.slice.size[1] by [2]; attr.kind of enum ne_resize; f32, or s8
	 * of one quantisation on both sides */
	NE_OP_RESIZE = 111,
	NE_OP_COUNT
};

/* Members of NE_OP_UNARY; a = attr.value, b = attr.value2. Stored in files. */
enum ne_unary {
	NE_UNARY_ABS = 1,
	NE_UNARY_NEG,
	NE_UNARY_SIGN,
	NE_UNARY_FLOOR,
	NE_UNARY_CEIL,
	NE_UNARY_ROUND, /* half to even */
	NE_UNARY_SQRT,
	NE_UNARY_RECIPROCAL,
	NE_UNARY_EXP,
	NE_UNARY_LOG,
	NE_UNARY_ERF,
	NE_UNARY_SIN,
	NE_UNARY_COS,
	NE_UNARY_TAN,
	NE_UNARY_ASIN,
	NE_UNARY_ACOS,
	NE_UNARY_ATAN,
	NE_UNARY_SINH,
	NE_UNARY_COSH,
	NE_UNARY_ASINH,
	NE_UNARY_ACOSH,
	NE_UNARY_ATANH,
	NE_UNARY_NOT,         /* bool */
	NE_UNARY_BITNOT,      /* integers */
	NE_UNARY_ISNAN,       /* f32 to bool */
	NE_UNARY_ISINF,       /* f32 to bool; a != 0: -inf counts, b != 0: +inf counts */
	NE_UNARY_ELU,         /* x < 0 ? a * (e^x - 1) : x */
	NE_UNARY_CELU,        /* x < 0 ? a * (e^(x/a) - 1) : x */
	NE_UNARY_SELU,        /* b * (x < 0 ? a * (e^x - 1) : x) */
	NE_UNARY_LEAKYRELU,   /* x < 0 ? a * x : x */
	NE_UNARY_THRESHOLD,   /* x > a ? x : 0 */
	NE_UNARY_SOFTPLUS,    /* log(1 + e^x) */
	NE_UNARY_SOFTSIGN,    /* x / (1 + |x|) */
	NE_UNARY_GELU,        /* x/2 * (1 + erf(x / sqrt 2)) */
	NE_UNARY_GELU_TANH,   /* its approximation by tanh */
	NE_UNARY_MISH,        /* x * tanh(softplus(x)) */
	NE_UNARY_HARDSIGMOID, /* clamp(a * x + b, 0, 1) */
	NE_UNARY_CLIP,        /* min(max(x, a), b) */
	NE_UNARY_SHRINK,      /* x < -b ? x + a : x > b ? x - a : 0 */
	NE_UNARY_SWISH,       /* x / (1 + e^(-a x)) */
	NE_UNARY_COUNT
};

/* Members of NE_OP_BINARY. Compares give bool. Stored in files. */
enum ne_binary {
	NE_BINARY_ADD = 1,
	NE_BINARY_SUB,
	NE_BINARY_MUL,
	NE_BINARY_DIV,  /* of integers: truncated; by 0: 0 */
	NE_BINARY_MOD,  /* sign of the divisor */
	NE_BINARY_FMOD, /* sign of the dividend */
	NE_BINARY_POW,  /* the exponent may be of another type */
	NE_BINARY_MIN,
	NE_BINARY_MAX,
	NE_BINARY_EQUAL,
	NE_BINARY_LESS,
	NE_BINARY_LESS_EQUAL,
	NE_BINARY_GREATER,
	NE_BINARY_GREATER_EQUAL,
	NE_BINARY_AND, /* bool */
	NE_BINARY_OR,
	NE_BINARY_XOR,
	NE_BINARY_BITAND, /* integers */
	NE_BINARY_BITOR,
	NE_BINARY_BITXOR,
	NE_BINARY_SHIFT_LEFT, /* of the bit pattern; by its width or more: 0 */
	NE_BINARY_SHIFT_RIGHT,
	NE_BINARY_PRELU, /* a < 0 ? a * b : a */
	NE_BINARY_COUNT
};

/* Members of NE_OP_REDUCE. The arg ones give s64, take one axis and the first of equals. */
enum ne_reduce {
	NE_REDUCE_SUM = 1,
	NE_REDUCE_MEAN,
	NE_REDUCE_MAX,
	NE_REDUCE_MIN,
	NE_REDUCE_PROD,
	NE_REDUCE_L1,
	NE_REDUCE_L2,
	NE_REDUCE_SUM_SQUARE,
	NE_REDUCE_LOG_SUM,
	NE_REDUCE_LOG_SUM_EXP,
	NE_REDUCE_ARGMAX,
	NE_REDUCE_ARGMIN,
	NE_REDUCE_ARGMAX_LAST, /* the last of equals */
	NE_REDUCE_ARGMIN_LAST,
	NE_REDUCE_COUNT
};

/* Where place i of NE_OP_RESIZE lies, from in to out places: i * in / out; with corners
 * i * (in - 1) / (out - 1); half a pixel: (i + 1/2) * in / out - 1/2. Bits, stored in files. */
enum ne_resize { NE_RESIZE_CORNERS = 1, NE_RESIZE_HALF_PIXEL = 2 };

enum ne_act { NE_ACT_NONE = 0, NE_ACT_RELU = 1, NE_ACT_RELU6 = 2 };

struct ne_shape {
	uint32_t rank;
	int32_t dim[NE_MAX_RANK]; /* each >= 1 */
};

/* Affine quantisation: real = (q - zero) * scale. scale == 0 means "not quantised". */
struct ne_quant {
	float scale;
	int32_t zero;
};

/* A window sliding over H and W: convolutions and pools. All in elements, dilations >= 1. */
struct ne_window {
	int32_t kh, kw, sh, sw, dh, dw;
	int32_t pad_top, pad_left, pad_bottom, pad_right;
};

/* Log-mel front end: frames of `frame` samples every `hop`, Hann window, FFT of `fft` points (a
 * power of two, >= frame), `bins` HTK-mel triangles from lo_hz to hi_hz on the power spectrum, log(x + floor).
 * If cepstra > 0 a DCT-II (orthonormal) of the log-mel keeps that many coefficients (MFCC). */
struct ne_mel {
	int32_t rate_hz, frame, hop, fft, bins, cepstra;
	float lo_hz, hi_hz, floor;
};

/* Of each axis: `size` elements, from `begin` on, `step` apart (not 0; negative = backwards). */
struct ne_slice {
	int32_t begin[NE_MAX_RANK], size[NE_MAX_RANK], step[NE_MAX_RANK];
};

enum ne_direction { NE_FORWARD, NE_BACKWARD, NE_BOTH_WAYS };

/* Activations of recurrent operators, a and b their parameters. Stored in files. */
enum ne_gate_kind {
	NE_GATE_NONE, /* x */
	NE_GATE_SIGMOID,
	NE_GATE_TANH,
	NE_GATE_RELU,
	NE_GATE_AFFINE,           /* a * x + b */
	NE_GATE_LEAKY_RELU,       /* x < 0 ? a * x : x */
	NE_GATE_THRESHOLDED_RELU, /* x > a ? x : 0 */
	NE_GATE_SCALED_TANH,      /* a * tanh(b * x) */
	NE_GATE_HARD_SIGMOID,     /* clamp(a * x + b, 0, 1) */
	NE_GATE_ELU,              /* x < 0 ? a * (e^x - 1) : x */
	NE_GATE_SOFTSIGN,         /* x / (1 + |x|) */
	NE_GATE_SOFTPLUS,         /* log(1 + e^x) */
	NE_GATE_COUNT
};

struct ne_gate {
	int32_t kind;
	float a, b;
};

struct ne_recurrent {
	int32_t direction;           /* enum ne_direction */
	int32_t linear_before_reset; /* GRU: reset gate after the product, not before */
	int32_t input_forget;        /* LSTM: forget gate = 1 - input gate */
	float clip;                  /* > 0: what enters an activation is kept within +-clip */
	struct ne_gate act[6]; /* f, g, h of ONNX for the first direction, then for the second */
};

struct ne_attr {
	struct ne_window window;
	int32_t groups;            /* NE_OP_CONV; 1 = ordinary */
	int32_t axis;              /* concat, softmax; >= 0 */
	int32_t act;               /* enum ne_act fused after conv, dwconv, dense, add, pools */
	int32_t count_include_pad; /* avgpool */
	int32_t perm[NE_MAX_RANK];
	int32_t pad[2 * NE_MAX_RANK]; /* pad: begin then end of each axis */
	float value;                  /* pad value (real), batch norm epsilon */
	struct ne_mel mel;
	int32_t kind;  /* member of the operator's family */
	uint32_t axes; /* bit i = axis i */
	float value2;
	struct ne_slice slice;
	struct ne_recurrent recurrent;
	/*
	 * Conv, dwconv and dense: 1 + index of the node's per-width scale and bias (struct ne_norm),
	 * 0 = none: y = act(scale[oc] * (x * w) + bias[oc]). With a norm there is no bias input.
	 */
	uint32_t norm;
};

#define NE_NO_GROUP 0u

struct ne_tensor {
	char *name;
	enum ne_dtype dtype;
	struct ne_shape shape; /* at full width */
	uint32_t group;        /* channel group that cuts the last axis; NE_NO_GROUP = never cut */
	void *data;            /* constants: dense row-major values at full width, else NULL */
	size_t bytes;          /* of data */
	/* Constants in s8: scales of the weights, symmetric (zero point 0); 1 or one per output
	 * channel (dim 0; for NE_OP_DWCONV the last). Activations: see struct ne_width. */
	float *scale;
	uint32_t n_scale;
	/* While a graph is imported: what its integers stand for, before there is a struct ne_width
	 * (ne_model_add_default_levels() moves it there). Not kept in files. */
	struct ne_quant quant;
};

struct ne_node {
	char *name;
	enum ne_op op;
	uint32_t n_in, n_out;
	uint32_t *in, *out; /* tensor ids; an absent optional input is NE_NONE */
	struct ne_attr attr;
};

#define NE_NONE UINT32_MAX

/* Exits are ordered by depth; the last is the whole network. All have the same number of outputs
 * with the same shapes and types. An imported network has one exit. */
struct ne_exit {
	uint32_t n_out;
	uint32_t *out; /* tensor ids */
};

/*
 * A value kept from one run to the next: @in is an activation that no node writes, and holds what
 * @out held at the end of the run before; in the first run the constant @initial, or real zero
 * where that is NE_NONE. @in and @out agree in type, shape, channel group and quantisation; @out
 * may be anything that has a value, another state's @in too (a shift register). A state whose
 * channels can be cut starts from zero.
 */
struct ne_graph_state {
	uint32_t in, out, initial; /* tensor ids */
};

struct ne_graph {
	uint32_t n_tensor, n_node, n_in, n_exit, n_group, n_state;
	struct ne_tensor *tensor;
	struct ne_node *node; /* in topological order */
	uint32_t *in;         /* ids of the graph's inputs */
	struct ne_exit *exit;
	struct ne_graph_state *state;
	/* Channels at full width of group g (1-based; entry 0 unused): [n_group + 1]. */
	int32_t *group_channels;
};

/* Limits that a hostile file cannot pass. */
#define NE_MAX_TENSORS  65536u
#define NE_MAX_NODES    32768u
#define NE_MAX_GROUPS   4096u
#define NE_MAX_EXITS    16u
#define NE_MAX_IO       64u /* inputs of a node, inputs and outputs of a graph */
#define NE_MAX_STATES   4096u
#define NE_MAX_DIM      (1 << 24)
#define NE_MAX_ELEMENTS ((size_t)1 << 28)

const char *ne_op_name(enum ne_op op);
size_t ne_dtype_size(enum ne_dtype t); /* 0 for an unknown type */
const char *ne_dtype_name(enum ne_dtype t);

/* Number of elements, or 0 where the rank, a dimension or the product breaks the limits above. */
size_t ne_shape_elements(const struct ne_shape *s);

void ne_graph_init(struct ne_graph *g);
void ne_graph_done(struct ne_graph *g);

/* Builders, for importers and the trainer. Each returns an id or a negative errno. Names are
 * copied; @data is taken over (freed with free()), even on failure. */
int ne_graph_add_tensor(struct ne_graph *g, const char *name, enum ne_dtype t,
			const struct ne_shape *shape);
int ne_graph_add_const(struct ne_graph *g, const char *name, enum ne_dtype t,
		       const struct ne_shape *shape, void *data);
int ne_graph_add_node(struct ne_graph *g, enum ne_op op, const char *name, uint32_t n_in,
		      const uint32_t *in, uint32_t n_out, const uint32_t *out,
		      const struct ne_attr *attr);
int ne_graph_add_input(struct ne_graph *g, uint32_t tensor);
int ne_graph_add_exit(struct ne_graph *g, uint32_t n_out, const uint32_t *out);
/* @initial: a constant, or NE_NONE for zero. Returns the state's index. */
int ne_graph_add_state(struct ne_graph *g, uint32_t in, uint32_t out, uint32_t initial);
int ne_graph_add_group(struct ne_graph *g, int32_t channels); /* returns the 1-based group */

/* Drops nodes and states that no exit needs and tensors that nothing uses, sorts nodes
 * topologically. */
int ne_graph_compact(struct ne_graph *g, struct ne_error *err);

/* Checks everything that the rest of the engine relies on: ids in range, one producer a tensor,
 * topological order (so no cycle), arity and attributes of each operator, shapes agreeing with
 * ne_shape_infer(), groups consistent (add, depthwise and pools keep their input's group). The
 * error names the node. */
int ne_graph_check(const struct ne_graph *g, struct ne_error *err);

/* Shape of output 0 of node @n of @g from its inputs' shapes (@in, one per input of the node; not
 * necessarily the full width's). -EINVAL, naming the node, where they do not fit. */
int ne_shape_infer(const struct ne_graph *g, uint32_t n, const struct ne_shape *in,
		   struct ne_shape *ret, struct ne_error *err);
/* Of all outputs: @ret holds n_out shapes. */
int ne_shape_infer_all(const struct ne_graph *g, uint32_t n, const struct ne_shape *in,
		       struct ne_shape *ret, struct ne_error *err);

/* Marks in @needed, one entry a tensor, what exit @e needs now and, through the states that it
 * reads, in later runs. Ids are in range. -ENOMEM. */
int ne_graph_needs(const struct ne_graph *g, uint32_t e, uint8_t *needed);

/* Copies @src into @dst (deep). */
int ne_graph_copy(struct ne_graph *dst, const struct ne_graph *src);

#endif
