#include "train/metrics.h"

#include "files/files.h"
#include "plot/chart.h"

namespace evo::train {
namespace {

std::vector<json::Record> read_lines(const std::filesystem::path& path, int64_t last_step) {
  std::vector<json::Record> lines;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    try {
      json::Record line = json::Record::parse(text, path.string());
      if (line.get_int("step") <= last_step) lines.push_back(std::move(line));
    } catch (const Error&) {
      continue;  // the line that a killed run was writing
    }
  }
  return lines;
}

}  // namespace

LossNumbers to_numbers(const LossReport& report) {
  return {report.total, report.ar_nll,   report.flow, report.inner,
          report.ahead, report.maturity, report.elbo, static_cast<double>(report.elbo_rows)};
}

LossReport sum_of_reports(const comm::RankTable& table, size_t place) {
  const auto sum = [&](size_t i) { return table.sum(place + i); };
  return {sum(0), sum(1), sum(2), sum(3), sum(4), sum(5), sum(6), static_cast<int64_t>(sum(7))};
}

void LossMean::add(const LossReport& report, double weight) {
  weight_ += weight;
  sum_.total += weight * report.total;
  sum_.ar_nll += weight * report.ar_nll;
  sum_.flow += weight * report.flow;
  sum_.inner += weight * report.inner;
  sum_.ahead += weight * report.ahead;
  sum_.maturity += weight * report.maturity;
  if (report.elbo_rows == 0) return;
  sum_.elbo += static_cast<double>(report.elbo_rows) * report.elbo;
  sum_.elbo_rows += report.elbo_rows;
}

LossReport LossMean::mean() const {
  return {sum_.total / weight_,
          sum_.ar_nll / weight_,
          sum_.flow / weight_,
          sum_.inner / weight_,
          sum_.ahead / weight_,
          sum_.maturity / weight_,
          sum_.elbo / static_cast<double>(sum_.elbo_rows),
          sum_.elbo_rows};
}

json::Record LossMean::to_record() const {
  json::Record record;
  record.set("weight", weight_).set("total", sum_.total).set("ar_nll", sum_.ar_nll);
  record.set("flow", sum_.flow).set("inner", sum_.inner).set("ahead", sum_.ahead);
  record.set("maturity", sum_.maturity);
  record.set("elbo", sum_.elbo).set("elbo_rows", sum_.elbo_rows);
  return record;
}

LossMean LossMean::from_record(const json::Record& record) {
  LossMean mean;
  mean.weight_ = record.get_double("weight");
  mean.sum_ = {record.get_double("total"), record.get_double("ar_nll"),
               record.get_double("flow"),  record.get_double("inner"),
               record.get_double("ahead"), record.get_double("maturity"),
               record.get_double("elbo"),  record.get_int("elbo_rows")};
  return mean;
}

MetricsLog::MetricsLog(std::filesystem::path path, int64_t resume_step) : path_(std::move(path)) {
  if (resume_step > 0) lines_ = read_lines(path_, resume_step);
  std::string kept;
  for (const json::Record& line : lines_) kept += line.dump() + "\n";
  files::write_atomically(path_, kept);
  file_.open(path_, std::ios::app);
}

void MetricsLog::add(const json::Record& line) {
  lines_.push_back(line);
  file_ << line.dump() << "\n" << std::flush;
  if (!file_) fail("{}: cannot write the metrics: is the disk full?", path_.string());
}

void MetricsLog::draw(const std::filesystem::path& path) const {
  const std::pair<const char*, const char*> kinds[] = {{"ar_nll", "AR loss"},
                                                       {"flow_loss", "flow loss"},
                                                       {"inner_loss", "inner field loss"},
                                                       {"valid_ar_nll", "AR loss, held out"},
                                                       {"valid_elbo", "ELBO block 8, held out"}};
  std::vector<plot::Series> series;
  for (const auto& [key, name] : kinds) {
    plot::Series one{name, {}, {}};
    for (const json::Record& line : lines_) {
      if (!line.has(key) || line.is_null(key)) continue;
      one.x.push_back(line.get_double("tokens"));
      one.y.push_back(line.get_double(key));
    }
    if (!one.x.empty()) series.push_back(std::move(one));
  }
  if (!series.empty()) {
    files::write_atomically(path, line_chart_svg("Training", "tokens", "nats per token", series));
  }
}

}  // namespace evo::train
