"""Writes `deploy/monitoring/callgate-dashboard.json` from the panels in `dashboard_panels.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboard_panels import ROWS, Panel

FILE = Path(__file__).resolve().parent.parent / "deploy" / "monitoring" / "callgate-dashboard.json"

SCHEMA_VERSION = 42
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TARGETS = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'


def dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's form."""
    return {
        "uid": "callgate",
        "title": "callgate",
        "description": "Decisions about tool calls of AI agents, and the callgates that make them.",
        "tags": ["callgate"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "hide": 0,
                    "multi": False,
                    "includeAll": False,
                    "options": [],
                    "refresh": 1,
                    "regex": "",
                    "skipUrlSync": False,
                },
                # Targets outside of Kubernetes have no namespace.
                variable("namespace", "Namespace", "callgate_build_info", all_value=".*"),
                variable("job", "Job", 'callgate_build_info{namespace=~"$namespace"}'),
                variable("instance", "Instance", 'callgate_build_info{namespace=~"$namespace",job=~"$job"}'),
                variable("server", "Server", f"callgate_policy_info{{{TARGETS}}}", all_value=".*"),
            ]
        },
        "panels": placed(),
    }


def variable(name: str, label: str, metric: str, all_value: str | None = None) -> dict[str, Any]:
    """A choice of label values; all of them at first."""
    query = f"label_values({metric},{name})"
    made: dict[str, Any] = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "multi": True,
        "includeAll": True,
        "options": [],
        # With each change of the time range: replicas come and go.
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }
    if all_value is not None:
        made["allValue"] = all_value
    return made


def placed() -> list[dict[str, Any]]:
    """The rows and their panels, from left to right and from the top down."""
    made: list[dict[str, Any]] = []
    top = 0
    for title, panels in ROWS.items():
        row = {"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "panels": []}
        made.append({**row, "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        top, left, height = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > WIDTH:
                top, left, height = top + height, 0, 0
            made.append(drawn(panel, len(made) + 1, left, top))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return made


def drawn(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    """A panel in Grafana's form."""
    options, custom = OPTIONS[panel.kind]
    defaults: dict[str, Any] = {"unit": panel.unit, "custom": dict(custom), "color": {"mode": "palette-classic"}}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.kind == "timeseries":
        defaults["min"] = 0
        if panel.is_stacked:
            defaults["custom"] |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
        if panel.highest is not None:
            defaults["max"] = panel.highest
        if panel.is_alarming:
            steps.append({"color": "red", "value": 0.000001})
            defaults["custom"]["thresholdsStyle"] = {"mode": "area"}
    defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "transformations": TRANSFORMATIONS.get(panel.kind, []),
        "targets": [
            target(panel, letter, legend, expression)
            for letter, (legend, expression) in zip("ABCDEFGH", panel.queries.items(), strict=False)
        ],
    }


def target(panel: Panel, letter: str, legend: str, expression: str) -> dict[str, Any]:
    """A query in Grafana's form."""
    is_instant = panel.kind in {"stat", "table"}
    return {
        "refId": letter,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expression.replace("@", TARGETS),
        "legendFormat": legend,
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
        "instant": is_instant,
        "range": not is_instant,
    }


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}

OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "timeseries": (
        {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
        {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False},
    ),
    "stat": (
        {
            "colorMode": "none",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "value",
        },
        {},
    ),
    "table": ({"showHeader": True, "cellHeight": "sm"}, {}),
    "heatmap": (
        {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5, "reverse": False},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "unit": "s"},
        },
        {},
    ),
}

TRANSFORMATIONS: dict[str, list[dict[str, Any]]] = {
    "table": [{"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {"Value": "replicas"}}}],
}


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
