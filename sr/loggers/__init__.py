"""Where a run's numbers and pictures go: CSV, W&B, MLflow, TensorBoard."""

from sr.loggers.csv_log import CsvLog
from sr.loggers.mlflow_log import mlflow_logger
from sr.loggers.tensorboard_log import tensorboard_logger
from sr.loggers.wandb_log import wandb_logger

__all__ = ["CsvLog", "mlflow_logger", "tensorboard_logger", "wandb_logger"]
