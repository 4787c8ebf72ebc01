-- Questions that the readers of these tables ask, in words of our own: AgentOps' API and billing, a monitoring page that
-- reads through HTTP, a driver that connects, people. Each has a name in the line above it. {project}, {trace}, {span} stand for ids.

-- connect: version
SELECT version(), timezone()

-- connect: settings
SELECT name, value, readonly FROM system.settings LIMIT 10000

-- connect: check
SELECT 1 AS check

-- list: traces
WITH spans AS (
    SELECT *, SpanAttributes['gen_ai.usage.prompt_tokens'] AS prompt, SpanAttributes['gen_ai.usage.completion_tokens'] AS completion,
        if(SpanAttributes['gen_ai.response.model'] != '', SpanAttributes['gen_ai.response.model'], SpanAttributes['gen_ai.request.model']) AS model
    FROM otel_2.otel_traces
    WHERE project_id = '{project}' AND Timestamp >= '2026-11-01 00:00:00' AND Timestamp <= '2100-01-01 00:00:00'
)
SELECT TraceId AS trace_id, argMin(ServiceName, Timestamp) AS root_service_name, argMin(SpanName, Timestamp) AS root_span_name,
    min(Timestamp) AS start_time, max(Timestamp) AS end_time,
    toUnixTimestamp64Nano(max(Timestamp)) - toUnixTimestamp64Nano(min(Timestamp)) AS duration,
    count() AS span_count, countIf(upper(StatusCode) = 'ERROR') AS error_count,
    argMin(SpanAttributes['agentops.tags'], Timestamp) AS tags,
    sum(if(SpanAttributes['gen_ai.usage.total_cost'] != '', toDecimal64OrZero(SpanAttributes['gen_ai.usage.total_cost'], 9),
        prompt_price(toUInt64OrZero(prompt), model) + completion_price(toUInt64OrZero(completion), model))) AS total_cost
FROM spans GROUP BY TraceId ORDER BY start_time DESC LIMIT 20 OFFSET 0

-- list: how many
SELECT uniqExact(TraceId) AS total FROM otel_2.otel_traces WHERE project_id = '{project}' AND Timestamp >= '2026-11-01 00:00:00'

-- list: by the project's index
SELECT TraceId, count() AS spans, min(Timestamp) AS first FROM otel_2.otel_traces_project_idx
WHERE project_id = '{project}' GROUP BY TraceId ORDER BY first DESC LIMIT 10

-- list: search
SELECT TraceId, groupUniqArray(SpanName) AS names FROM otel_2.otel_traces
WHERE project_id = '{project}' AND (SpanName ILIKE '%openai%' OR TraceId ILIKE '%openai%' OR ServiceName ILIKE '%openai%'
    OR arrayExists(value -> value ILIKE '%openai%', mapValues(SpanAttributes)))
GROUP BY TraceId ORDER BY max(Timestamp) DESC

-- detail: a trace
SELECT Timestamp, project_id, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage, `Events.Timestamp` AS event_timestamps, `Events.Name` AS event_names,
    `Events.Attributes` AS event_attributes, `Links.TraceId` AS link_trace_ids, `Links.SpanId` AS link_span_ids,
    `Links.TraceState` AS link_trace_states, `Links.Attributes` AS link_attributes
FROM otel_2.otel_traces WHERE TraceId = '{trace}'

-- detail: whose trace
SELECT DISTINCT project_id FROM otel_2.otel_traces WHERE TraceId = '{trace}'

-- detail: when
SELECT min(Start) AS first, max(End) AS last FROM otel_2.otel_traces_trace_id_ts WHERE TraceId = '{trace}'

-- project: spans with tokens
SELECT TraceId AS trace_id, SpanId AS span_id, StatusCode AS status_code, Timestamp AS start_time, Duration AS duration,
    SpanAttributes['gen_ai.usage.prompt_tokens'] AS prompt_tokens, SpanAttributes['gen_ai.usage.completion_tokens'] AS completion_tokens,
    SpanAttributes['gen_ai.usage.cache_read_input_tokens'] AS cache_read, SpanAttributes['gen_ai.usage.reasoning_tokens'] AS reasoning,
    SpanAttributes['gen_ai.usage.total_tokens'] AS total_tokens, SpanAttributes['gen_ai.usage.prompt_cost'] AS prompt_cost,
    SpanAttributes['gen_ai.usage.completion_cost'] AS completion_cost, SpanAttributes['gen_ai.usage.total_cost'] AS total_cost
FROM otel_2.otel_traces WHERE project_id = '{project}' AND Timestamp >= '1970-01-01 00:00:00' AND Timestamp <= '2100-01-01 00:00:00'
ORDER BY Timestamp

-- project: outcomes
SELECT count() AS total, countIf(upper(StatusCode) = 'OK') AS success, countIf(upper(StatusCode) = 'ERROR') AS fail,
    countIf(upper(StatusCode) = 'UNSET') AS indeterminate FROM otel_2.otel_traces WHERE project_id = '{project}'

-- project: durations
SELECT min(d) AS min_ns, max(d) AS max_ns, avg(d) AS avg_ns, sum(d) AS total_ns FROM (
    SELECT max(toUnixTimestamp64Nano(Timestamp) + Duration) - min(toUnixTimestamp64Nano(Timestamp)) AS d
    FROM otel_2.otel_traces WHERE project_id = '{project}' AND Timestamp > '2000-01-01' GROUP BY TraceId)

-- project: spans a trace
SELECT spans, count() AS traces FROM (
    SELECT count() AS spans FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY TraceId
) GROUP BY spans ORDER BY spans

-- project: cost by day
SELECT toDate(Timestamp) AS day, sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.prompt_cost'])
    + toFloat64OrZero(SpanAttributes['gen_ai.usage.completion_cost'])) AS cost
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY day HAVING cost > 0 ORDER BY day

-- project: outcomes by day
SELECT groupArrayIf(day, outcome = 'OK') AS success, groupArrayIf(day, outcome = 'ERROR') AS fail,
    groupArrayIf(day, outcome = 'UNSET') AS indeterminate
FROM (SELECT toDate(min(Timestamp)) AS day, upper(argMin(StatusCode, Timestamp)) AS outcome
    FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY TraceId)

-- billing: spans
SELECT project_id, countMerge(span_count) AS spans FROM otel_2.trace_span_counts WHERE project_id = '{project}' GROUP BY project_id

-- billing: traces and spans of several projects
SELECT project_id, uniqExact(TraceId) AS trace_count, count() AS span_count FROM otel_2.otel_traces
WHERE project_id = '{project}' OR project_id = '00000000-0000-0000-0000-000000000000' GROUP BY project_id

-- billing: tokens
SELECT sum(coalesce(toUInt64OrZero(SpanAttributes['gen_ai.usage.total_tokens']),
    toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens']) + toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens']))) AS tokens
FROM otel_2.otel_traces WHERE project_id = '{project}' AND Timestamp >= '2026-11-01 00:00:00'

-- public: a trace
SELECT TraceId, any(project_id) AS project, argMin(SpanAttributes['agentops.tags'], Timestamp) AS tags, count() AS spans,
    min(Timestamp) AS start_time, max(Timestamp + toIntervalNanosecond(Duration)) AS end_time
FROM otel_2.otel_traces WHERE TraceId = '{trace}' AND project_id = '{project}' GROUP BY TraceId

-- public: a trace's numbers
SELECT count() AS span_count, countIf(upper(StatusCode) = 'OK') AS success_count, countIf(upper(StatusCode) = 'ERROR') AS fail_count,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt_tokens,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS completion_tokens,
    sum(toDecimal64OrZero(SpanAttributes['gen_ai.usage.total_cost'], 9)) AS total_cost
FROM otel_2.otel_traces WHERE TraceId = '{trace}'

-- public: a span
SELECT SpanId, ParentSpanId, TraceId, SpanName, SpanKind, ServiceName, Timestamp, Duration, StatusCode, StatusMessage,
    SpanAttributes, ResourceAttributes FROM otel_2.otel_traces WHERE SpanId = '{span}' AND project_id = '{project}' LIMIT 1

-- public: a span's numbers
SELECT SpanAttributes['gen_ai.usage.prompt_tokens'] AS prompt_tokens, SpanAttributes['gen_ai.usage.completion_tokens'] AS completion_tokens,
    Duration, StatusCode FROM otel_2.otel_traces WHERE SpanId = '{span}'

-- logs: of a trace
SELECT Timestamp, SeverityText, SeverityNumber, Body, LogAttributes FROM otel_2.otel_logs WHERE TraceId = '{trace}' ORDER BY Timestamp

-- logs: of a service
SELECT Timestamp, Body, LogAttributes['container'] AS container FROM otel_2.otel_logs
WHERE Timestamp > now() - INTERVAL 1 HOUR ORDER BY Timestamp DESC LIMIT 100

-- monitoring: traces
SELECT TraceId AS trace_id, argMin(ServiceName, Timestamp) AS service_name, argMin(SpanName, Timestamp) AS span_name,
    min(Timestamp) AS start_time, sum(Duration) / 1000000 AS duration, count() AS span_count, countIf(StatusCode = 'ERROR') AS error_count,
    sum(greatest(toFloat64OrZero(extract(SpanAttributes['metadata.usage_object'], 'cost.: ([0-9.eE-]+)')),
        toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens']) * 7.2e-8
        + toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens']) * 4.64e-7)) AS total_cost,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt_tokens,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS completion_tokens
FROM otel_2.otel_traces
WHERE ResourceAttributes['agentops.project.id'] = '{project}' AND Timestamp >= parseDateTimeBestEffort('2026-11-01T00:00:00')
GROUP BY TraceId ORDER BY start_time DESC LIMIT 20 OFFSET 0 FORMAT JSONEachRow

-- monitoring: a trace
SELECT TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_span_id, SpanName AS span_name, ServiceName AS service_name,
    Timestamp AS timestamp, Duration / 1000000 AS duration, StatusCode AS status_code, StatusMessage AS status_message,
    SpanAttributes AS span_attributes, ResourceAttributes AS resource_attributes
FROM otel_2.otel_traces WHERE TraceId = '{trace}' ORDER BY Timestamp FORMAT JSONEachRow

-- monitoring: totals
SELECT uniqExact(TraceId) AS trace_count, count() AS span_count, countIf(StatusCode = 'ERROR') AS error_count,
    countIf(SpanName = 'litellm_request') AS llm_call_count,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt_tokens,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS completion_tokens,
    avg(Duration) / 1e6 AS avg_duration, quantile(0.5)(Duration) / 1e6 AS p50_duration,
    quantile(0.95)(Duration) / 1e6 AS p95_duration, quantile(0.99)(Duration) / 1e6 AS p99_duration
FROM otel_2.otel_traces WHERE ResourceAttributes['agentops.project.id'] = '{project}' FORMAT JSONEachRow

-- monitoring: cost by hour
SELECT formatDateTime(Timestamp, '%Y-%m-%d %H:00:00') AS timestamp, sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) * 7.2e-8 AS cost
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY timestamp ORDER BY timestamp FORMAT JSONEachRow

-- monitoring: cost by day
SELECT formatDateTime(Timestamp, '%Y-%m-%d') AS timestamp, sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) * 7.2e-8 AS cost
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY timestamp ORDER BY timestamp FORMAT JSONEachRow

-- monitoring: cost by week
SELECT concat(toString(toYear(Timestamp)), '-', leftPad(toString(toISOWeek(Timestamp)), 2, '0')) AS timestamp,
    sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) * 7.2e-8 AS cost
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY timestamp ORDER BY timestamp FORMAT JSONEachRow

-- monitoring: tokens
SELECT toStartOfHour(Timestamp) AS timestamp, sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt_tokens,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS completion_tokens,
    countIf(toUInt64OrZero(SpanAttributes['gen_ai.usage.cache_read_input_tokens']) > 0) AS cache_hits
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY timestamp ORDER BY timestamp FORMAT JSONEachRow

-- monitoring: performance
SELECT Timestamp AS timestamp, Duration / 1000000 AS duration, if(StatusCode = 'ERROR', 'error', 'success') AS status
FROM otel_2.otel_traces WHERE project_id = '{project}' ORDER BY Timestamp LIMIT 1000 FORMAT JSONEachRow

-- monitoring: flow
SELECT multiIf(SpanName = 'Received Proxy Server Request', 'Client Request', SpanName = 'proxy_pre_call', 'Input Guardrail',
    SpanName = 'litellm_request', 'LiteLLM Proxy', SpanName = 'raw_gen_ai_request', 'LLM Provider',
    match(lower(concat(SpanName, ServiceName)), 'langflow|flowise|autogen'), 'Agent',
    SpanName ILIKE '%mcp%' OR SpanAttributes['metadata.mcp_tool_call_metadata'] != '', 'MCP Tools',
    SpanName = 'batch_write_to_db', 'Output Guardrail', '') AS stage,
    count() AS call_count, avg(Duration) / 1e6 AS avg_latency_ms, countIf(StatusCode = 'Error') AS error_count,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt_tokens
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY stage HAVING stage != '' ORDER BY min(Timestamp) FORMAT JSONEachRow

-- monitoring: guardrails
SELECT uniqExact(TraceId) AS total_requests, uniqExactIf(TraceId, StatusCode = 'Error') AS blocked_requests,
    round(blocked_requests / total_requests * 100, 2) AS block_rate, countIf(SpanName = 'proxy_pre_call') AS input_checks,
    countIf(SpanName = 'batch_write_to_db') AS output_checks,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS completion
FROM otel_2.otel_traces WHERE project_id = '{project}' FORMAT JSONEachRow

-- monitoring: agents
SELECT if(SpanAttributes['metadata.agent_name'] != '', SpanAttributes['metadata.agent_name'], ServiceName) AS agent_name,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens']) + toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS total_tokens,
    count() AS event_count, avg(Duration) / 1e6 AS avg_latency, countIf(StatusCode = 'Error') AS error_count,
    1 - error_count / event_count AS success_rate
FROM otel_2.otel_traces WHERE project_id = '{project}' GROUP BY agent_name ORDER BY event_count DESC FORMAT JSONEachRow

-- monitoring: an agent
SELECT toStartOfHour(Timestamp) AS hour, count() AS call_count, countIf(StatusCode = 'Error') AS error_count,
    quantile(0.95)(Duration) / 1e6 AS p95_latency_ms
FROM otel_2.otel_traces WHERE ResourceAttributes['ProjectId'] = '{project}' GROUP BY hour ORDER BY hour FORMAT JSONEachRow

-- monitoring: replay
SELECT Timestamp, dateDiff('millisecond', min(Timestamp) OVER (), Timestamp) AS relative_time, SpanId, ParentSpanId, SpanName, Duration,
    multiIf(mapContains(SpanAttributes, 'gen_ai.request.model'), 'llm_call', mapContains(SpanAttributes, 'agentops.tool.input'), 'tool_use',
        StatusCode = 'Error', 'error', 'span_start') AS type
FROM otel_2.otel_traces WHERE TraceId = '{trace}' ORDER BY Timestamp FORMAT JSONEachRow

-- people: the last calls
SELECT Timestamp, SpanName, SpanAttributes['gen_ai.request.model'] AS model, SpanAttributes['gen_ai.prompt.0.content'] AS prompt,
    substring(SpanAttributes['gen_ai.completion.0.content'], 1, 100) AS response, SpanAttributes['gen_ai.usage.total_tokens'] AS tokens,
    Duration / 1000000000 AS duration_sec
FROM otel_2.otel_traces WHERE SpanName = 'litellm_request' ORDER BY Timestamp DESC LIMIT 10 FORMAT PrettyCompact

-- people: the last span
SELECT Timestamp, SpanName, SpanAttributes FROM otel_2.otel_traces ORDER BY Timestamp DESC LIMIT 1 FORMAT Vertical

-- people: by project
SELECT project_id, count(*) FROM otel_2.otel_traces GROUP BY project_id

-- people: by the other attribute
SELECT TraceId AS trace_id, SpanName AS span_name, Duration / 1000000 AS duration_ms, ResourceAttributes['project_id'] AS project_id
FROM otel_2.otel_traces WHERE ResourceAttributes['ProjectId'] = '{project}' ORDER BY Timestamp DESC LIMIT 100

-- people: tables
SHOW TABLES FROM otel_2

-- metrics: gauges and sums
SELECT MetricName, max(Value) AS value FROM (SELECT MetricName, Value FROM otel_2.otel_metrics_gauge
    UNION ALL SELECT MetricName, Value FROM otel_2.otel_metrics_sum) GROUP BY MetricName ORDER BY MetricName

-- metrics: histograms
SELECT MetricName, sum(Count) AS points, sum(Sum) AS total, any(ResourceAttributes['agentops.project.id']) AS project
FROM otel_2.otel_metrics_histogram GROUP BY MetricName ORDER BY MetricName
