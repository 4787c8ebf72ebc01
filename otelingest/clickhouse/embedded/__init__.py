"""A real ClickHouse engine in a process of its own, speaking ClickHouse's HTTP and native protocols.

`process` is the parent's side. All else runs in the child: `child` starts the doors (`http`, `tcp`) in front of the
`engine`; `sql`, `inserts`, `native`, `wire`, `bodies` and `answers` are what the doors need.
"""
