// The routes for programs: OpenAI's API, what llama.cpp's clients expect, health and metrics.
#pragma once

#include <httplib.h>

#include "serve/engine.h"
#include "serve/metrics.h"
#include "serve/request.h"
#include "serve/service.h"

namespace evo {

class Api {
 public:
  /// All must outlive the object, and the object the server that has its routes.
  Api(Engine& engine, const Service& service, const Metrics& metrics)
      : engine_(engine), service_(service), metrics_(metrics) {}

  void add_routes(httplib::Server& server);

 private:
  void add_generation(httplib::Server& server, const char* path, Endpoint endpoint);
  void generate(Endpoint endpoint, const httplib::Request& request, httplib::Response& response);
  void models(httplib::Response& response) const;
  void tokenize(const httplib::Request& request, httplib::Response& response) const;
  void detokenize(const httplib::Request& request, httplib::Response& response) const;
  void health(httplib::Response& response) const;

  Engine& engine_;
  const Service& service_;
  const Metrics& metrics_;
};

}  // namespace evo
