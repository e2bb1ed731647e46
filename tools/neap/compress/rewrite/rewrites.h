/* SPDX-License-Identifier: MIT */
/* One function a file; see each file's head. */
#ifndef NEAP_REWRITE_REWRITES_H
#define NEAP_REWRITE_REWRITES_H

struct edit;

int rewrite_spectrum(struct edit *e);
int rewrite_identity(struct edit *e);
int rewrite_constant(struct edit *e);
int rewrite_hardswish(struct edit *e);
int rewrite_batchnorm(struct edit *e);
int rewrite_batchnorm_alone(struct edit *e);
int rewrite_affine(struct edit *e);
int rewrite_pad(struct edit *e);
int rewrite_transpose(struct edit *e);
int rewrite_reshape(struct edit *e);
int rewrite_flatten(struct edit *e);
int rewrite_activation(struct edit *e);
int rewrite_quantised(struct edit *e);
int rewrite_unquantised(struct edit *e);

#endif
