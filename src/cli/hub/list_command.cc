// evo list and evo remove: the models in the cache.
#include <fmt/chrono.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/log.h"
#include "base/terminal/progress.h"
#include "base/terminal/text_width.h"
#include "cli/hub/hub_settings.h"
#include "cli/program.h"
#include "hub/cache/cached_models.h"
#include "json/record.h"

namespace evo::cli {
namespace {

using Clock = std::chrono::system_clock;

json::Record record_of(const hub::CachedModel& model) {
  json::Record record;
  record.set("model", model.repository).set("bytes", model.bytes);
  record.set("unfinished_bytes", model.unfinished).set("format", model.format);
  record.set("revisions", model.revisions).set("used", Clock::to_time_t(model.used));
  return record;
}

/// What there is to say behind the columns.
std::string remarks_on(const hub::CachedModel& model) {
  std::string text;
  if (model.unfinished > 0) {
    text += fmt::format("  unfinished: evo pull {} goes on", model.repository);
  }
  if (!model.revisions.empty() && model.revisions != std::vector<std::string>{"main"}) {
    text += fmt::format("  @{}", fmt::join(model.revisions, " @"));
  }
  return text;
}

void run_list(bool json) {
  const hub::Cache cache = hub_cache();
  const std::vector<hub::CachedModel> models = cached_models(cache);
  if (json) {
    std::vector<json::Record> records;
    for (const hub::CachedModel& model : models) records.push_back(record_of(model));
    fmt::print("{}\n",
               json::Record().set("cache", cache.folder().string()).set("models", records).dump());
    return;
  }
  if (models.empty()) {
    log_info("no models in {}; evo pull OWNER/NAME gets one", cache.folder().string());
    return;
  }
  size_t names = 0, formats = 0;
  for (const hub::CachedModel& model : models) {
    names = std::max(names, model.repository.size());
    formats = std::max(formats, model.format.size());
  }
  for (const hub::CachedModel& model : models) {
    fmt::print("{:<{}}  {:>9}  {:<{}}  {:%Y-%m-%d}{}\n", model.repository, names,
               format_bytes(static_cast<double>(model.bytes)), printable(model.format), formats,
               fmt::localtime(Clock::to_time_t(model.used)), printable(remarks_on(model)));
  }
}

void run_remove(const std::string& model, bool json) {
  const hub::ModelName name = hub::parse_model_name(model);
  const int64_t bytes = remove_model(hub_cache(), name);
  if (json) {
    fmt::print("{}\n", json::Record().set("model", name.text()).set("freed_bytes", bytes).dump());
  } else {
    fmt::print("{}: removed, {} are free again\n", name.text(),
               format_bytes(static_cast<double>(bytes)));
  }
}

}  // namespace

void add_list_command(CLI::App& app, Action& action) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "list", "The models in the cache of evo pull: name, size, format, day of last use");
  command->add_flag("--json", *json, "print one JSON object on stdout");
  command->callback([json, &action] { action = [json] { run_list(*json); }; });
}

void add_remove_command(CLI::App& app, Action& action) {
  const auto model = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("remove", "Remove a model from the cache of evo pull");
  command
      ->add_option("model", *model,
                   "OWNER/NAME: all of it; OWNER/NAME@REVISION or OWNER/NAME:FILE: that alone")
      ->required();
  command->add_flag("--json", *json, "print one JSON object on stdout");
  command->callback(
      [model, json, &action] { action = [model, json] { run_remove(*model, *json); }; });
}

}  // namespace evo::cli
