// The columns of one call: which tables are wanted, and the requests that fill them.
#pragma once

#include "metrics.hpp"

namespace otelingest {

// In the order of the KINDS that the Python side passes.
enum TableKind : int { TRACES, LOGS, GAUGES, SUMS, HISTOGRAMS, EXPONENTIAL_HISTOGRAMS, SUMMARIES, TABLE_KINDS };

class Batch {
   public:
    void add_table(int kind) {
        static constexpr size_t FIELDS[TABLE_KINDS] = {
            TraceRows::FIELDS,
            LogRows::FIELDS,
            MetricRows::GAUGE_FIELDS,
            MetricRows::SUM_FIELDS,
            MetricRows::HISTOGRAM_FIELDS,
            MetricRows::EXPONENTIAL_FIELDS,
            MetricRows::SUMMARY_FIELDS,
        };
        tables_[kind] = std::make_unique<Table>(FIELDS[kind]);
    }
    void add_column(int kind, size_t field, ColumnType type) { tables_[kind]->add_column(field, type); }

    // Memory that outlives this.
    void add_request(const u8* data, size_t size) { requests_.push_back({data, size}); }

    // Fills the tables of a signal (named by its first table). False for what takes a closer look.
    bool run(int signal) {
        if (signal == TRACES) return tables_[TRACES] == nullptr || fill(TraceRows(*tables_[TRACES]));
        if (signal == LOGS) return tables_[LOGS] == nullptr || fill(LogRows(*tables_[LOGS]));
        MetricRows rows({tables_[GAUGES].get(), tables_[SUMS].get(), tables_[HISTOGRAMS].get(),
                         tables_[EXPONENTIAL_HISTOGRAMS].get(), tables_[SUMMARIES].get()});
        const bool plain = fill(rows);
        dropped_metrics = rows.dropped;
        return plain;
    }

    u64 rows(int kind) const { return tables_[kind]->rows; }
    size_t column_size(int kind, size_t column) const { return tables_[kind]->column(column).size(); }
    void write_column(int kind, size_t column, u8* to) const { tables_[kind]->column(column).write(to); }

    u64 dropped_metrics = 0;

   private:
    bool fill(Rows&& rows) { return fill(rows); }
    bool fill(Rows& rows) {
        for (const Slice request : requests_)
            if (!rows.request(request)) return false;
        return true;
    }

    std::unique_ptr<Table> tables_[TABLE_KINDS];
    std::vector<Slice> requests_;
};

}  // namespace otelingest
