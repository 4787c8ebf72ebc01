"""The component types of the OpenTelemetry Collector (contrib distribution), and other names that some go by.

They let a message tell a component that we do not have from one that nobody has.
"""

from __future__ import annotations

_UPSTREAM = {
    "receivers": """
        activedirectoryds aerospike apache apachespark awscloudwatch awscontainerinsight awsecscontainermetrics
        awsfirehose awss3 awsxray azureblob azureeventhub azuremonitor bigip carbon chrony cloudflare cloudfoundry
        collectd couchdb datadog dockerstats elasticsearch envoyals expvar faro filelog filestats flinkmetrics
        fluentforward github gitlab googlecloudmonitoring googlecloudpubsub googlecloudspanner haproxy hostmetrics
        httpcheck icmpcheck iis influxdb jaeger jmx journald k8scluster k8sevents k8sobjects kafka kafkametrics
        kubeletstats libhoney loki memcached mongodb mongodbatlas mysql namedpipe netflow nginx nop nsxt ntp
        opencensus oracledb otelarrow otlp otlpjsonfile podmanstats postgresql pprof prometheus prometheusremotewrite
        prometheussimple purefa purefb pulsar rabbitmq receivercreator redis riak saphana signalfx skywalking snmp
        snowflake solace splunkenterprise splunkhec sqlquery sqlserver sshcheck statsd stef syslog systemd tcpcheck
        tcplog tlscheck udplog vcenter wavefront webhookevent windowseventlog windowsperfcounters zipkin zookeeper
    """,
    "processors": """
        attributes batch coralogix cumulativetodelta deltatocumulative deltatorate drain filter geoip groupbyattrs
        groupbytrace interval isolationforest k8sattributes logdedup memorylimiter metricsgeneration metricstarttime
        metricstransform probabilisticsampler queuebatch redaction remotetap resource resourcedetection routing schema
        span spanpruning sumologic tailsampling transform unroll
    """,
    "exporters": """
        alertmanager alibabacloudlogservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azureblob
        azuredataexplorer azuremonitor bmchelix carbon cassandra clickhouse coralogix datadog dataset debug doris
        elasticsearch faro file googlecloud googlecloudpubsub googlecloudstorage googlemanagedprometheus
        honeycombmarker influxdb kafka loadbalancing logicmonitor logzio loki mezmo nop opencensus opensearch
        otelarrow otlp otlpgrpc otlphttp prometheus prometheusremotewrite pulsar rabbitmq sapm sentry signalfx
        splunkhec stef sumologic syslog tencentcloudlogservice tinybird zipkin
    """,
    "connectors": """
        count datadog exceptions failover forward grafanacloud otlpjson roundrobin routing servicegraph
        signaltometrics slowsql spanmetrics sum
    """,
    "extensions": """
        ack asapclient awslogsencoding awsproxy azureauth azureencoding basicauth bearertokenauth cgroupruntime
        datadog dbstorage dockerobserver ecsobserver ecstaskobserver filestorage googleclientauth
        googlecloudlogentryencoding headerssetter healthcheck healthcheckv2 hostobserver httpforwarder jaegerencoding
        jaegerremotesampling jsonlogencoding k8sleaderelector k8sobserver kafkatopicsobserver memorylimiter
        oauth2client oidc opamp otlpencoding pprof redisstorage sigv4auth skywalkingencoding sumologic textencoding
        zipkinencoding zpages
    """,
}
_KNOWN = {kind: frozenset(names.split()) for kind, names in _UPSTREAM.items()}

ALIASES: dict[tuple[str, str], str] = {
    ("exporters", "otlp"): "otlp_grpc",
    ("exporters", "otlphttp"): "otlp_http",
    ("exporters", "prometheusremotewrite"): "prometheus_remote_write",
    ("processors", "resourcedetection"): "resource_detection",
    ("processors", "deltatocumulative"): "delta_to_cumulative",
    ("processors", "k8sattributes"): "k8s_attributes",
    ("connectors", "spanmetrics"): "span_metrics",
    ("extensions", "jwtauthextension"): "jwtauth",
    ("receivers", "fluentforward"): "fluent_forward",
}
"""Other names of types, most of them older ones. They are accepted, with a warning when the component is built."""

STILL_CURRENT: frozenset[tuple[str, str]] = frozenset({("extensions", "jwtauthextension")})
"""Those of them that are no older ones, but what other distributions call the component: nothing to warn of."""

REMOVED: dict[tuple[str, str], str] = {
    ("exporters", "logging"): "the logging exporter has been deprecated, use the debug exporter instead",
}
"""Types that upstream has taken away, and what it says about them."""


def upstream_names(kind: str) -> frozenset[str]:
    """The collector's types of a kind, without underscores."""
    return _KNOWN[kind]


def is_upstream(kind: str, type: str) -> bool:
    """Whether the collector has a component of that type. `kind` is the section's name: `receivers`."""
    return type.replace("_", "").lower() in _KNOWN[kind]
