"""What every process needs: logs, metrics, HTTP, signals, durations, YAML with line numbers."""
