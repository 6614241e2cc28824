"""Commands and study files that are wrong: name -> how, and the line that says so."""

from tests.wrong import Make, base, command, flags, images, key, nothing, text

DEPTH = {"class_path": "tutelage.tasks.Depth"}
NYU = {"class_path": "tutelage.data.NYUv2"}
DISTILLER = {"class_path": "tutelage.distill.FeatureDistiller"}
WEIGHTS = {"class_path": "tutelage.balance.Uniform", "init_args": {"weights": {"hue": 3}}}
URL = ("--methods", "url", "--method.url.distiller.match")

STUDIES: dict[str, tuple[Make, str]] = {
    # The command.
    "unknown verb": (command("rum", "rooms"), r"VERB: expected one of .*, found `rum`; did you mean `run`\?; see"),
    "too many words": (command("presets", "--all"), r"expected a flag of `tutelage presets`, found `--all`; see"),
    "report of nothing": (command("report"), r"DIR: expected a value, found none; see `tutelage report --help`"),
    "report of no folder": (
        command("report", "nowhere"),
        r"nowhere: expected the folder of a study, found no study.yaml",
    ),
    "unknown preset": (command("run", "roomz"), r"roomz: expected .* presets .*; found neither; did you mean `rooms`"),
    "no such file": (command("run", "none.yaml"), r"none.yaml: expected a YAML file of a study, found none; see"),
    "unknown flag": (
        flags("--epocs", "3"),
        r"study.yaml: expected a flag of the study, found `--epocs`; did you mean `--epochs`\?$",
    ),
    "flag without value": (flags("--epochs"), r"--epochs: expected a value, found none"),
    "jobs of a cluster": (
        flags("--launcher", "ray", "--jobs", "2"),
        r"--jobs: expected --launcher local beside it, found --launcher ray, .*; leave it out, or give --cpus-per-run",
    ),
    "stray word": (flags("rooms"), r"expected no more words, found `rooms`; see"),
    "a name like a flag": (flags("--study=-x"), r"study: expected a name of letters, .*, found `-x`; take another"),
    "an empty folder": (flags("--out="), r"out: expected a folder, found an empty text; name one, or leave `out` out"),
    "unknown overlay": (
        flags("--with", "nothing"),
        r"--with nothing: expected a YAML file or one of .*; found neither",
    ),
    # The file.
    "broken YAML": (text("study: [a"), r"study.yaml: expected YAML, found while parsing .* line 1"),
    "a list": (text("- 1\n- 2"), r"study.yaml: expected keys and values of a study, found list"),
    "empty file": (text(""), r"study.yaml: expected keys and values of a study, found NoneType"),
    "no text": (text(b"\xff\xfe\x00"), r"study.yaml: expected .*, in UTF-8, found other bytes .*; .* save it as UTF-8"),
    "a key twice": (
        text("study: a\nmethods: [url]\nmethods: [kd4mtl]"),
        r"study.yaml: expected YAML, found the key `methods` in line 2 and again in line 3; correct the file",
    ),
    "a size of more pixels than a picture": (
        key("data.init_args.size", [100000, 100000]),
        r"data.size: expected at most 89478485 pixels, found 100000 x 100000 = 10000000000; make it smaller",
    ),
    "code in YAML": (
        text("!!python/object/apply:pathlib.Path.touch [executed]"),
        r"study.yaml: expected YAML, found .*tag",
    ),
    # Keys.
    "no name as a teacher's task": (
        key("teachers", {"depth": {"tasks": [{"a": 1}]}}),
        r"teachers.depth.tasks: expected names of tasks, found {'a': 1}; correct it",
    ),
    "no name as a base": (
        text("base: rooms-tiny\nmethods: [mine]\nmethod: {mine: {base: {}}}"),
        r"method.mine.base: expected the name of a method, or a list of names, found {}",
    ),
    "a number as a teacher's network": (
        text("base: rooms-tiny\nteacher_net: 3\nteachers: {depth: depth.safetensors}"),
        r"teacher_net: expected a network, or one by task, found int; give class_path and init_args",
    ),
    "unknown key": (key("epocs", 3), r"study.yaml: expected a known key, found `epocs`; `tutelage run STUDY --help`"),
    "unknown key of train": (
        key("train.epocs", 3),
        r"study.yaml: train: expected a known key, found `epocs`; did you mean `epochs`\?$",
    ),
    "unknown argument": (key("net.init_args.depth", 3), r"study.yaml: net: expected a known key, found `depth`;"),
    "unknown argument of data": (
        key("data.init_args.sise", 3),
        r"data: expected a known key, found `sise`; did you mean `size`\?$",
    ),
    "unknown argument of an optimiser": (
        key("train.student.optimizer.init_args.rate", 3),
        r"train.student.optimizer: expected a known key, found `rate`;",
    ),
    "unknown key of a method": (
        key("method.uniform.balancr", 3),
        r"method.uniform: expected a known key, found `balancr`; did you",
    ),
    "no data": (key("data"), r"study.yaml: data: expected a value, found none; give it"),
    "no root": (
        key("data", {"class_path": "tutelage.data.NYUv2"}),
        r"data.root: expected .*, found none; .* --data.root",
    ),
    "no match": (
        flags("--methods", "mine", method={"mine": {"distiller": DISTILLER}}),
        r"method.mine.distiller.match: expected a value for tutelage.distill.FeatureDistiller, found none; give",
    ),
    # Classes.
    "misspelled class": (
        key("net.class_path", "tutelage.nets.SegNett"),
        r"net: .*, found no `SegNett` in tutelage.nets; did you mean `SegNet`\?$",
    ),
    "misspelled task": (
        key("tasks.depth.class_path", "tutelage.tasks.Deph"),
        r"tasks.depth: .*, found no `Deph` in .*; did you mean `Depth`",
    ),
    "unknown module": (
        key("net.class_path", "nowhere.Net"),
        r"net: expected a class, found no module `nowhere`; correct",
    ),
    "a name for a class": (
        key("data", "rooms"),
        r"data: expected a class_path, found `rooms`; did you mean `tutelage.data.Rooms`",
    ),
    "a task as data": (key("data", DEPTH), r"data: expected a subclass of DataSource, found tutelage.tasks.Depth"),
    "a class with arguments of its own as network": (
        key("net", {"class_path": "tutelage.data.Folders"}),
        r"net: expected a subclass of MultiTaskNet, found tutelage.data.Folders",
    ),
    "a task as network": (key("net", DEPTH), r"net: expected a subclass of MultiTaskNet, found tutelage.tasks.Depth"),
    "data as augmentation": (
        key("train.augment", base()["data"]),
        r"train.augment: expected a subclass of Augment, found",
    ),
    "no class": (key("net", {"width": 1}), r"net: expected class_path and init_args, found {'width': 1}"),
    # Values.
    "epochs in words": (flags("--epochs", "many"), r"train.epochs: expected a whole number, found `many`"),
    "steps in words": (flags("--max-steps", "few"), r"train.max_steps: expected a whole number or null, found `few`"),
    "null for a number": (
        key("train.epochs", None),
        r"study.yaml: train.epochs: expected a value, found null; give one, or leave the key out for its default",
    ),
    "null for an argument of torch": (
        key("train.student.optimizer.init_args.differentiable", None),
        r"study.yaml: train.student.optimizer.differentiable: expected a value, found null; give one",
    ),
    "a number for a list": (key("methods", 10**30), r"study.yaml: methods: expected a list, found `1000"),
    "keys for a number": (key("train.batch_size", {"a": 1}), r"train.batch_size: expected a whole number, found `{'a'"),
    "a whole study for a name": (
        key("methods", [{"x" * 90: 1}]),
        r"methods: expected names among .*; found `{'x{78} \.\.\.`",
    ),
    "train in a word": (key("train", "fast"), r"study.yaml: train: expected keys and values, found `fast`"),
    "tasks in a list": (key("tasks", ["depth"]), r"tasks: expected keys and values, found `\['depth'\]`"),
    "three sizes": (
        key("data.init_args.size", [1, 2, 3]),
        r"size: expected a tuple with 2 elements, found \[1, 2, 3\]",
    ),
    "precision": (flags("--precision", "fp8"), r"train.precision: expected `auto` or .*, found `fp8`"),
    "no epoch": (flags("--epochs", "0"), r"train.epochs: expected at least 1, found 0"),
    "average": (flags("--ema", "2"), r"train.ema: expected a decay between 0 and 1 or null, found 2"),
    "clipping": (flags("--clip-norm", "-1"), r"train.clip_norm: expected a positive number or null, found -1"),
    "time between checkpoints": (
        key("train.checkpoint_seconds", -1),
        r"train.checkpoint_seconds: expected 0 .* found -1",
    ),
    "batch": (
        flags("--batch-size", "5"),
        r"batch_size: expected at most the 4 training images of .*, found 5 x 1 per step",
    ),
    "batch of more images than fit a number": (
        flags("--batch-size", str(10**30)),
        r"batch_size: expected at most the 4 training images",
    ),
    "learning rate": (
        key("train.student.optimizer.init_args.lr", -1),
        r"train.student.optimizer: expected .* found: .*rate: -1",
    ),
    "endless lr": (
        key("train.student.optimizer.init_args.lr", float("inf")),
        r"train.student.optimizer.lr: expected a number of at least 0, found inf; give another",
    ),
    "flip": (key("train.augment.init_args", {"flip": 2}), r"train.augment.flip: expected a probability, found 2.0$"),
    "scales": (
        key("train.augment.init_args", {"scales": [0.5]}),
        r"train.augment.scales: expected .* 1, found \[0.5\]$",
    ),
    "classes": (
        flags("--tasks.segmentation.classes", "0"),
        r"Segmentation: expected .* two classes. Found `classes = 0`",
    ),
    "width": (
        flags("--net.width", "0.001"),
        r"SegNet: expected at least one filter in each level, found \[0, .*`width`",
    ),
    "holdout": (images(nothing, "--data.holdout", "1.5"), r"data.holdout: expected a part between 0 and 1, found 1.5"),
    "accelerator": (flags("--accelerator", "cuda"), r"train.accelerator: expected a GPU for cuda, found none; use cpu"),
    # Names.
    "seed twice": (flags("--seeds", "1,1"), r"seeds: expected one or more different numbers, found \[1, 1\]"),
    "no seed": (key("seeds", []), r"seeds: expected one or more different numbers, found \[\]"),
    "no method": (key("methods", []), r"methods: expected one or more different names, found \[\]"),
    "no task": (key("tasks", {}), r"tasks: expected at least one task, found none"),
    "unknown method": (
        flags("--methods", "kd5mtl"),
        r"methods: expected names among .*; found `kd5mtl`; did you mean `kd4mtl`",
    ),
    "values of another method": (
        flags("--method.kdmtl.about", "x"),
        r"method.kdmtl: expected one of .*, found `kdmtl`",
    ),
    "study's name": (key("study", "../up"), r"study: expected a name of letters, .*, found `../up`"),
    "study's name: folder above": (key("study", ".."), r"study: expected a name .* begins .*, found `\.\.`"),
    "study's name: own folder": (key("study", "."), r"study: expected a name .* begins .*, found `\.`"),
    "study's name: hidden": (key("study", ".x"), r"study: expected a name .* begins .*, found `\.x`"),
    "study's name: flag": (key("study", "-x"), r"study: expected a name .* begins .*, found `-x`"),
    "study's name of 300 letters": (key("study", "x" * 300), r"study: expected .* of at most 150 bytes, found 300 in"),
    "task's name of 300 letters": (key("tasks", {"x" * 300: DEPTH}), r"tasks: expected .* of at most 150 .*; cut it"),
    "root is a number": (key("data", {**NYU, "init_args": {"root": 5}}), r"data.root: expected a path, found `5`"),
    "root is a list": (
        key("data", {**NYU, "init_args": {"root": ["a"]}}),
        r"data.root: expected a path, found .*a",
    ),
    "task's name": (key("tasks", {"a/b": DEPTH}), r"tasks: expected names of letters, .*, found `a/b`"),
    "task's name that torch has taken": (
        key("tasks", {"type": DEPTH}),
        r"tasks: expected names that torch's modules have no other use for, found `type`; take another",
    ),
    "task without label": (
        key("tasks.albedo", DEPTH),
        r"tasks.albedo: expected .*\(segmentation, depth, .*, found `albedo`",
    ),
    "unknown task of weights": (
        key("method.uniform.balancer", WEIGHTS),
        r"method.uniform.balancer: Uniform.weights: expected tasks among .*depth.*; found `hue`",
    ),
    "unknown task of lambda": (
        flags("--methods", "kd4mtl", "--method.kd4mtl.distiller.weights", "{hue: 1}"),
        r"FeatureDistiller.weights: expected names of teachers \(.*depth.*\), found `hue`",
    ),
    "unknown tap": (
        flags(*URL, "{neck: last}"),
        r"match: expected taps of the student \(bottleneck, last\), found `neck`",
    ),
    "unknown tap of a teacher": (
        flags(*URL, "{last: neck}"),
        r"match: expected taps of the teacher .*, found `neck`",
    ),
    "no tap": (flags(*URL, "{}"), r"FeatureDistiller.match: expected {student's tap: teacher's tap}, found none"),
}
