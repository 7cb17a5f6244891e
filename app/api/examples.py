"""Examples of the OpenAPI document: the geyser Old Faithful. A test posts each of them."""

NAMES = ["eruptions", "waiting"]
ROWS = [[3.6, 79], [1.8, 54], [3.333, 74], [2.283, 62], [4.533, 85], [2.883, 55], [4.7, 88], [3.6, 85]]
CSV = "eruptions,waiting\n" + "\n".join(f"{a:g},{b:g}" for a, b in ROWS) + "\n"

FIT = {
    "model": "old-faithful",
    "algorithm": "gaussian_mixture",
    "params": {"n_components": 2, "covariance_type": "full", "n_init": 5, "random_state": 0},
    "data": {"instances": ROWS, "feature_names": NAMES},
    "preprocess": {"scale": "none", "pca": None},
    "anomaly": {"contamination": 0.04},
    "alias": "champion",
    "tags": {"team": "geo"},
    "description": "eruption regimes",
}
FIT_STORED = {
    "model": "old-faithful",
    "algorithm": "gaussian_mixture",
    "params": {"n_components": 2, "random_state": 0},
    "data": {"dataset": "old-faithful", "features": NAMES},
}
FIT_KMEANS = {
    "model": "old-faithful-kmeans",
    "algorithm": "kmeans",
    "params": {"n_clusters": 2, "random_state": 0},
    "data": {"dataset": "old-faithful"},
    "preprocess": {"scale": "standard"},
}
DATASET = {"name": "old-faithful", "instances": ROWS, "feature_names": NAMES}
INSTANCES = {"instances": ROWS[:3]}
KEYED = {"instances": [{"eruptions": 3.6, "waiting": 79}, {"waiting": 54, "eruptions": 1.8}]}
SERVE = {"lists": INSTANCES, "objects": KEYED}
EVALUATE = {
    "plain": {"instances": ROWS},
    "labelled": {"instances": ROWS, "labels": ["long", "short", "long", "short", "long", "short", "long", "long"]},
}
IMPORT = {
    "algorithm": "gaussian_mixture",
    "parameters": {
        "covariance_type": "full",
        "weights": [0.36, 0.64],
        "means": [[2.04, 54.5], [4.29, 80.0]],
        "covariances": [[[0.07, 0.44], [0.44, 33.7]], [[0.17, 0.94], [0.94, 36.0]]],
    },
    "feature_names": NAMES,
    "description": "by hand",
}
IMPORT_KMEANS = {"algorithm": "kmeans", "parameters": {"cluster_centers": [[2.09, 54.8], [4.3, 80.3]]}}
