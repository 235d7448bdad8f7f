"""A layer's launches on a GPU: what can be told without running them, and what simulating tells."""

from kernprof.layers.network import (
    FamilyTime,
    NetworkPrediction,
    predict_network,
    rank_correlation,
    total_energy,
)
from kernprof.layers.predicted import PredictedLaunch, can_predict, predict_launches, too_large
from kernprof.layers.static import StaticLaunch, profile_of, static_launches

__all__ = [
    "FamilyTime",
    "NetworkPrediction",
    "PredictedLaunch",
    "StaticLaunch",
    "can_predict",
    "predict_launches",
    "predict_network",
    "profile_of",
    "rank_correlation",
    "static_launches",
    "too_large",
    "total_energy",
]
