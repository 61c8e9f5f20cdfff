// evo serve
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>

#include "api/learnt_costs.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "base/threads/parallel.h"
#include "cli/cache_folder.h"
#include "cli/hub/model_option.h"
#include "cli/mode_choice.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/loaded_model.h"
#include "json/record.h"
#include "serve/server.h"

namespace evo::cli {
namespace {

struct ServeFlags {
  std::string model, name, precision = "auto", kv_cache = kDefaultKvCache;
  serve::ServerOptions server;
  serve::EngineOptions engine{.request_seconds = 600};
  serve::ServiceOptions service;
  std::string template_variables;
  int threads = 0;
  bool json = false, no_defaults = false;
};

std::string served_name(const ServeFlags& flags) {
  return flags.name.empty() ? model_title(flags.model) : flags.name;
}

std::string url_of(const serve::ServerOptions& options, int port) {
  const bool v6 = options.host.find(':') != std::string::npos;
  return fmt::format("http://{}:{}", v6 ? "[" + options.host + "]" : options.host, port);
}

/// What is served, and how much memory it may take beside the weights.
void announce(const ServeFlags& flags, const std::string& url, tensor::Precision precision,
              const serve::Engine& engine) {
  const std::string name = served_name(flags);
  if (flags.json) {
    json::Record record;
    record.set("url", url).set("model", name).set("precision", decode::precision_name(precision));
    record.set("kv_cache", flags.kv_cache);
    record.set("threads", threads()).set("cache_tokens", engine.cache_tokens());
    record.set("cache_bytes", engine.cache_bytes());
    record.set("defaults", flags.service.defaults.record());
    fmt::print("{}\n", record.dump());
  } else {
    fmt::print("{} is served at {}, with a page to look at (Ctrl-C ends it)\n", name, url);
    fmt::print(
        "{}, {} threads; keys and values of {} tokens at most, {} in {}, taken as they are needed "
        "(--cache-tokens)\n",
        decode::precision_name(precision), threads(), engine.cache_tokens(),
        format_bytes(static_cast<double>(engine.cache_bytes())), flags.kv_cache);
    if (!flags.service.defaults.empty()) {
      fmt::print("requests that say nothing else have the model's own {} (--no-defaults: not)\n",
                 flags.service.defaults.text());
    }
  }
  flush_output();
}

/// Said before the model is loaded, as mistakes in the same options are.
void warn_of_strangers(const serve::ServerOptions& options) {
  const serve::AccessOptions& access = options.access;
  (void)serve::Access(access, options.host);
  if (serve::is_loopback(options.host) || !access.api_key.empty()) return;
  log_warning(
      "--host {} without a key: whoever reaches this machine over the network can use the model; "
      "set EVO_API_KEY, or listen on 127.0.0.1",
      options.host);
}

void run_serve(ServeFlags& flags) {
  use_threads(flags.threads);
  std::string& api_key = flags.server.access.api_key;
  if (const char* key = std::getenv("EVO_API_KEY"); api_key.empty() && key) api_key = key;
  warn_of_strangers(flags.server);
  flags.service.template_variables = template_variables_of(flags.template_variables);
  const decode::LoadedModel loaded = decode::load_model(
      flags.model, parse_precision(flags.precision), parse_cache_format(flags.kv_cache));
  const decode::Decoder decoder(loaded.model, loaded.tokenizer);
  const LearntCosts costs(decoder, loaded.model.precision(), cache_folder());
  serve::Metrics metrics;
  if (!flags.no_defaults) flags.service.defaults = decode::GenerationDefaults::load(flags.model);
  const serve::Service service(decoder, loaded.tokenizer, flags.model, served_name(flags),
                               flags.service);
  serve::Engine engine(decoder, loaded.tokenizer, flags.engine, metrics);
  serve::Server server(engine, service, metrics, flags.server);
  const int port = server.start();
  announce(flags, url_of(flags.server, port), loaded.model.precision(), engine);
  engine.run(interrupted);
  server.stop();
  log_info("[the server has ended]");
}

void add_limits(CLI::App& command, ServeFlags& flags) {
  command.add_option("--active", flags.engine.active, "texts generated side by side")
      ->check(number(1, 1024))
      ->capture_default_str();
  command.add_option("--queue", flags.engine.queue, "texts that may wait for that")
      ->check(number(static_cast<int>(serve::kMostTexts), 65536))
      ->capture_default_str();
  command
      .add_option("--prompt-rows", flags.engine.prompt_rows,
                  "tokens of prompts that a pass reads beside what it generates")
      ->check(number(1, 65536))
      ->capture_default_str();
  command
      .add_option(
          "--cache-tokens", flags.engine.cache_tokens,
          "tokens whose keys and values are in memory at most, of active texts and of earlier "
          "ones; it is taken as it is needed, and given back. 0: for all that can be active, but "
          "at most a quarter of the machine's memory and half of what is available at the start")
      ->check(number(int64_t{0}, kLargestCount))
      ->capture_default_str();
  command
      .add_option("--keep-seconds", flags.engine.keep_seconds,
                  "how long keys and values of an ended text are kept, for prompts that go on from "
                  "it, if nothing else needs the room")
      ->check(number(0.0, kLongestSeconds))
      ->capture_default_str();
  command
      .add_option("--max-prompt", flags.service.longest_prompt,
                  "tokens of a prompt; 0: what the model's context holds")
      ->check(number(int64_t{0}, kLargestCount))
      ->capture_default_str();
  command.add_option("--connections", flags.server.connections, "clients at the same time")
      ->check(number(1, 4096))
      ->capture_default_str();
  command
      .add_option("--request-seconds", flags.engine.request_seconds, "time of a request; 0: any")
      ->check(number(0.0, kLongestSeconds))
      ->capture_default_str();
  command
      .add_option("--drain-seconds", flags.engine.drain_seconds,
                  "time that requests have to finish when the server is to end")
      ->check(number(0.0, kLongestSeconds))
      ->capture_default_str();
}

void add_access(CLI::App& command, serve::AccessOptions& access) {
  command.add_option("--api-key", access.api_key,
                     "what clients must send; better kept in the variable EVO_API_KEY");
  command
      .add_option("--cors", access.origins,
                  "pages that may ask from a browser besides the server's own, by their origin, as "
                  "in https://example.com; *: all; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command
      .add_option("--allowed-host", access.allowed_hosts,
                  "name by which the server is reached, besides localhost and addresses; asked for "
                  "without a key only, since a page on the web can make a name of its own lead "
                  "here; *: any; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
}

}  // namespace

void add_serve_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<ServeFlags>();
  CLI::App* command =
      app.add_subcommand("serve", "Answer requests over HTTP, as OpenAI's servers do");
  takes_model(command->add_option("model", flags->model, kModelHelp))->required();
  command->add_option("--host", flags->server.host, "address to listen on; 0.0.0.0: all")
      ->capture_default_str();
  command->add_option("--port", flags->server.port, "0: any that is free")
      ->check(number(0, 65535))
      ->capture_default_str();
  command->add_option("--name", flags->name,
                      "what clients call the model; default: its folder's name, or OWNER/NAME");
  add_no_defaults(*command, flags->no_defaults);
  add_template_variables(*command, flags->template_variables);
  add_access(*command, flags->server.access);
  add_limits(*command, *flags);
  command->add_option("--precision", flags->precision, kPrecisionHelp);
  command->add_option("--kv-cache", flags->kv_cache, kKvCacheHelp);
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print {\"url\": ...} on stdout");
  command->callback([flags, &action] { action = [flags] { run_serve(*flags); }; });
}

}  // namespace evo::cli
