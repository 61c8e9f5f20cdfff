// The routes for programs: OpenAI's API, what llama.cpp's clients expect, health and metrics.
#pragma once

#include <httplib.h>

#include "serve/api/own_texts.h"
#include "serve/api/request.h"
#include "serve/engine.h"
#include "serve/metrics.h"
#include "serve/service.h"

namespace evo::serve {

class Api {
 public:
  /// All must outlive the object, and the object the server that has its routes. `shared_texts`:
  /// what all clients have asked for, if they are one and the same; null: a connection's are its
  /// own.
  Api(Engine& engine, const Service& service, const Metrics& metrics, OwnTexts* shared_texts)
      : engine_(engine), service_(service), metrics_(metrics), shared_texts_(shared_texts) {}

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
  OwnTexts* shared_texts_;
};

}  // namespace evo::serve
