# SPDX-License-Identifier: MIT
# The shipped models, made again from their recipes. An interrupted training goes on where it was.

RECIPES := models/fashion.ini models/kws.ini
.PHONY: models
models: $(O)/bin/neap
	@set -e; for r in $(RECIPES); do o=$${r%.ini}.neap; \
		if [ -e "$${r%.ini}.ckpt" ]; then go=--resume; else go=; fi; \
		echo "$$r -> $$o"; $(O)/bin/neap train $$r -o $$o $$go; done
