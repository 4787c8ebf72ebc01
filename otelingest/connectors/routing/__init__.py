"""The `routing` connector: hands data on to the pipelines that a table says, by OTTL conditions or request headers."""

from otelingest.connectors.routing.connector import RoutingConnector

__all__ = ["RoutingConnector"]
