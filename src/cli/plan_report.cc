#include "cli/plan_report.h"

#include <cmath>
#include <vector>

#include "base/terminal/progress.h"
#include "json/fields.h"

namespace evo::cli {
namespace {

std::string line(std::string_view name, std::string_view value, std::string_view note = {}) {
  const std::string text = fmt::format("  {:<42}{:>12}  {}", name, value, note);
  return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

std::string percent(double share) {
  return fmt::format("{:.1f}%", 100 * share);
}

std::string seconds(double value) {
  return std::abs(value) < 1 ? fmt::format("{:.1f} ms", 1000 * value)
                             : fmt::format("{:.2f} s", value);
}

/// A line for every part that there is, with its share of the whole.
template <class Parts, class Format>
std::string part_lines(Parts parts, const Format& format) {
  const double whole = plan::sum_of(parts);
  std::string text;
  const auto add = [&](const char*, auto value, const char* name) {
    if (value == 0) return;
    text +=
        line(name, format(static_cast<double>(value)), percent(static_cast<double>(value) / whole));
  };
  parts.visit(add);
  return text;
}

std::string memory_section(const plan::Plan& plan) {
  std::string text = "Memory of a rank, at the fullest moment of a step\n";
  text += part_lines(plan.memory, plan::decimal_bytes);
  const std::string verdict = plan.fits() ? "fits" : "DOES NOT FIT";
  text += line("total", plan::decimal_bytes(plan.memory.total()), verdict);
  text += line("usable, 90% of what there is", plan::decimal_bytes(plan.usable_memory()));
  return text;
}

std::string flops_section(const plan::Plan& plan) {
  std::string text = "Arithmetic per token of text, in FLOPs\n";
  text += part_lines(plan.flops, format_count);
  const double usual = 6 * static_cast<double>(plan.parameters.backbone());
  text += line("total", format_count(plan.flops.total()),
               fmt::format("{:.2f} x 6ND", plan.flops.total() / usual));
  return text;
}

std::string time_section(const plan::Plan& plan, const PlanNotes& notes) {
  const plan::StepTime& time = plan.time;
  std::string text = "Time of a step\n";
  text += line("computation", seconds(time.compute),
               fmt::format("{:.0f}% of peak, {}", 100 * plan.machine.efficiency, notes.efficiency));
  if (plan.machine.ranks > 1) {
    text += line("reduce-scatter of gradients", seconds(time.reduce_scatter),
                 plan.run.config.wire + " on the wire");
    text += line("all-gather of weights", seconds(time.all_gather));
    text += line("hidden beside computation", seconds(-time.hidden));
  }
  text += line("total", seconds(time.total()), percent(time.exposed() / time.total()) + " waiting");
  return text;
}

std::string run_section(const plan::Plan& plan, const PlanNotes& notes) {
  std::string text = "The whole run\n";
  text += line("tokens per step", format_count(plan.run.tokens_per_step()), notes.batch);
  text += line("critical batch, about", format_count(plan.critical_tokens));
  text += line("tokens", format_count(plan.run.tokens),
               fmt::format("{} steps", format_count(std::ceil(plan.steps()))));
  text += line("tokens per second", format_count(plan.tokens_per_second()));
  text += line("of the ranks' peak", percent(plan.utilisation()),
               fmt::format("by 6ND: {}", percent(plan.utilisation_6nd())));
  text += line("days", fmt::format("{:.3g}", plan.days()));
  return text;
}

/// Words after `bullet`, broken at 78 columns; further lines begin below the first word.
std::string wrapped(const std::string& bullet, const std::string& text) {
  constexpr size_t kColumns = 78;
  std::string lines = bullet;
  size_t column = bullet.size();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    if (begin > 0 && column + 1 + end - begin > kColumns) {
      lines.append("\n").append(bullet.size(), ' ');
      column = bullet.size();
    } else if (begin > 0) {
      lines += " ";
      ++column;
    }
    lines += text.substr(begin, end - begin);
    column += end - begin;
    begin = end + 1;
  }
  return lines + "\n";
}

}  // namespace

std::string plan_table(const plan::Plan& plan, const PlanNotes& notes) {
  const plan::ParameterCount& count = plan.parameters;
  const double flow = plan::sum_of(count) - static_cast<double>(count.backbone());
  std::string text = fmt::format("{}: {} parameters, {} of them for the flow\n", notes.model,
                                 format_count(plan::sum_of(count)), format_count(flow));
  text += fmt::format("{} ranks, each of {}, {}FLOP/s and {}/s\n\n", plan.machine.ranks,
                      plan::decimal_bytes(plan.machine.memory), format_count(plan.machine.flops),
                      plan::decimal_bytes(plan.machine.bandwidth));
  text += "Parameters\n" + part_lines(count, format_count) + "\n";
  text += memory_section(plan) + "\n" + flops_section(plan) + "\n";
  text += time_section(plan, notes) + "\n" + run_section(plan, notes) + "\n";
  const plan::Advice advice = plan::advise(plan);
  text += wrapped(
      "", fmt::format("First limit: {}. {}.", plan::limit_name(advice.limit), advice.finding));
  for (const std::string& change : advice.changes) text += wrapped("  - ", change);
  return text + "\nThe run that this describes:\n" + run_command(plan, notes) + "\n";
}

json::Record plan_record(const plan::Plan& plan, const PlanNotes& notes) {
  const auto fields = [](const auto& parts) {
    json::Record record;
    json::write_fields(parts, record);
    return record.set("total", static_cast<double>(plan::sum_of(parts)));
  };
  json::Record machine;
  machine.set("ranks", plan.machine.ranks).set("memory", plan.machine.memory);
  machine.set("flops", plan.machine.flops).set("efficiency", plan.machine.efficiency);
  machine.set("bandwidth", plan.machine.bandwidth).set("latency", plan.machine.latency);
  json::Record time;
  json::write_fields(plan.time, time);
  time.set("exposed", plan.time.exposed()).set("total", plan.time.total());
  const plan::Advice advice = plan::advise(plan);

  json::Record record;
  record.set("model", notes.model).set("machine", machine);
  record.set("parameters", fields(plan.parameters)).set("memory_bytes", fields(plan.memory));
  record.set("usable_memory_bytes", plan.usable_memory()).set("fits", plan.fits());
  record.set("flops_per_token", fields(plan.flops)).set("step_seconds", time);
  record.set("batch_size", plan.run.config.batch_size);
  record.set("gradient_accumulation", plan.run.config.gradient_accumulation);
  record.set("sequence_length", plan.run.config.sequence_length);
  record.set("recompute", plan.run.config.recompute).set("wire", plan.run.config.wire);
  record.set("tokens_per_step", plan.run.tokens_per_step());
  record.set("critical_tokens_per_step", plan.critical_tokens);
  record.set("tokens", plan.run.tokens).set("steps", std::ceil(plan.steps()));
  record.set("tokens_per_second", plan.tokens_per_second()).set("days", plan.days());
  record.set("utilisation", plan.utilisation());
  record.set("utilisation_6nd", plan.utilisation_6nd());
  record.set("limit", plan::limit_name(advice.limit)).set("finding", advice.finding);
  record.set("changes", advice.changes).set("command", run_command(plan, notes));
  return record;
}

std::string run_command(const plan::Plan& plan, const PlanNotes& notes) {
  const train::RunConfig& c = plan.run.config;
  std::string text = plan.machine.ranks > 1 ? fmt::format("mpirun -n {} ", plan.machine.ranks) : "";
  text += fmt::format("evo train {} --steps {:.0f} \\\n", notes.model, std::ceil(plan.steps()));
  if (!notes.settings.empty()) text += fmt::format(" {} \\\n", notes.settings);
  text += fmt::format("  --set batch_size={} --set gradient_accumulation={} \\\n", c.batch_size,
                      c.gradient_accumulation);
  if (plan.run.config.recompute) text += "  --set recompute=true \\\n";
  return text + "  --data TEXT --out DIR";
}

}  // namespace evo::cli
