# make demo, make test: all a new machine needs is Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-docs check docs nyuv2-lite nyuv2-lite-quarter nyuv2-lite-teachers nyuv2-segnet nyuv2-small nyuv2-balancing nyuv2-nets data clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tutelage needs Python 3.11 or newer, found $$($(PYTHON) --version); name another with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: $(STAMP)
	$(BIN)/tutelage run rooms

test: $(STAMP)
	$(BIN)/pytest --numprocesses 2 --dist worksteal

# Every command and snippet of the README and the docs, also those that take minutes.
test-docs: $(STAMP)
	$(BIN)/pytest --numprocesses 2 -m "slow or not slow" tests/test_docs*.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# NYU-v2 with a pretrained encoder: make nyuv2-lite-quarter DATA=DIR, again wherever it stopped; started twice, two processes share it.
# docs/results.md says which of these have been run.
# The weights of timm's EfficientNet-Lite are downloaded, or read from their files in a folder: WEIGHTS=DIR.
data:
	@test -n "$(DATA)" || { echo "make: expected the folder of NYU-v2, found none; give it with DATA=DIR"; exit 1; }

weights = $(if $(WEIGHTS),--$(1).encoder_args '{pretrained_cfg_overlay: {file: $(WEIGHTS)/tf_efficientnet_$(2).safetensors}}')
LITE := --seeds 0,1,2 $(call weights,net,lite0)
nyuv2-lite: data $(STAMP)
	$(BIN)/tutelage run nyuv2-lite --data.root $(DATA) $(LITE)

nyuv2-lite-quarter: data $(STAMP)
	$(BIN)/tutelage run nyuv2-lite-quarter --data.source.root $(DATA) $(LITE)

nyuv2-lite-teachers: data $(STAMP)
	$(BIN)/tutelage run nyuv2-lite-teachers --data.root $(DATA) $(LITE) $(call weights,teacher_net,lite2)

# The paper's own setting, on a GPU, two runs sharing it: make nyuv2-segnet DATA=DIR SEEDS=0 EPOCHS=200
SEEDS ?= 0,1,2
EPOCHS ?= 200
nyuv2-segnet: data $(STAMP)
	$(BIN)/tutelage run nyuv2-segnet --data.root $(DATA) --seeds $(SEEDS) --epochs $(EPOCHS) --methods single,uniform,kd4mtl,recommended --jobs 2

SMALL := nyuv2-segnet-small --data.root $(DATA)

nyuv2-small: data $(STAMP)
	$(BIN)/tutelage run $(SMALL) --seeds 0,1,2,3,4
	$(BIN)/tutelage run $(SMALL) --seeds 0,1,2 --with ablation
	$(BIN)/tutelage tune $(SMALL) --trials 6
	$(BIN)/tutelage run $(SMALL) --seeds 0,1,2 --with runs/nyuv2-segnet-small/tune/tuned.yaml

nyuv2-balancing: data $(STAMP)
	$(BIN)/tutelage run $(SMALL) --study nyuv2-balancing --epochs 8 --seeds 0,1,2 --with balancing
	$(BIN)/tutelage run $(SMALL) --study nyuv2-balancers --epochs 2 --with balancers

NETS := --epochs 8 --seeds 0,1,2 --methods uniform,kd4mtl,url
MTAN := --net tutelage.nets.MTAN --net.filters "[16,32,48,64,64]"
FPN := decoder_args: {decoder_pyramid_channels: 64, decoder_segmentation_channels: 32}
RESNET := {class_path: tutelage.nets.EncoderDecoder, init_args: {encoder: resnet18, decoder: FPN, $(FPN)}}
nyuv2-nets: data $(STAMP)
	$(BIN)/tutelage run $(SMALL) --study nyuv2-mtan-small $(NETS) $(MTAN)
	$(BIN)/tutelage run $(SMALL) --study nyuv2-resnet-small $(NETS) --net '$(RESNET)'
	$(BIN)/tutelage run $(SMALL) --study nyuv2-small-student $(NETS) --net.filters "[8,16,24,32,32]" --teacher_net '$(RESNET)'
	$(BIN)/tutelage run $(SMALL) --study nyuv2-small-own-teachers $(NETS) --net.filters "[8,16,24,32,32]"

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

clean:
	rm -rf .venv site .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
