// SPDX-License-Identifier: MIT
/* Fashion-MNIST as Debian's dataset-fashion-mnist installs it; NEAP_FASHION_MNIST names another
 * folder with the same four files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/neap/data/source.h"

#define FASHION_FOLDER "/usr/share/datasets/fashion-mnist"

/* The names of the data set's README, by class. */
static const char *const fashion_name[] = {
	"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
	"Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot",
};

static int set_names(struct data_set *d, struct ne_error *err)
{
	uint32_t n = NE_ARRAY_SIZE(fashion_name);

	if (d->n_class > n)
		return ne_fail(err, EINVAL, "fashion-mnist: a label is over %u", n - 1);
	d->class_name = calloc(n, sizeof(*d->class_name));
	d->n_class = n;
	for (uint32_t i = 0; d->class_name && i < n; i++) {
		d->class_name[i] = strdup(fashion_name[i]);
		if (!d->class_name[i])
			return ne_fail(err, ENOMEM, "out of memory");
	}
	return d->class_name ? 0 : ne_fail(err, ENOMEM, "out of memory");
}

static int open_fashion(const char *args, struct data_set *ret, struct ne_error *err)
{
	const char *folder = getenv("NEAP_FASHION_MNIST");
	char images[512], labels[512];
	const char *part;

	if (!strcmp(args, "train"))
		part = "train";
	else if (!strcmp(args, "test"))
		part = "t10k";
	else
		return ne_fail(err, EINVAL, "data set 'fashion-mnist:%s': expected %s", args,
			       data_source_fashion.usage);
	if (!folder || !*folder)
		folder = FASHION_FOLDER;
	if (access(folder, R_OK | X_OK) < 0)
		return ne_fail(err, ENOENT,
			       "%s: %s: install the Debian package dataset-fashion-mnist (apt "
			       "install dataset-fashion-mnist), or set NEAP_FASHION_MNIST",
			       folder, strerror(errno));
	if ((size_t)snprintf(images, sizeof(images), "%s/%s-images-idx3-ubyte.gz", folder, part) >=
		    sizeof(images) ||
	    (size_t)snprintf(labels, sizeof(labels), "%s/%s-labels-idx1-ubyte.gz", folder, part) >=
		    sizeof(labels))
		return ne_fail(err, ENAMETOOLONG, "NEAP_FASHION_MNIST is too long");
	NE_RETURN_IF(data_open_idx(images, labels, ret, err));
	return set_names(ret, err);
}

const struct data_source data_source_fashion = {
	.kind = "fashion-mnist",
	.usage = "fashion-mnist:train|test",
	.open = open_fashion,
};
