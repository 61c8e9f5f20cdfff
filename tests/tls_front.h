// The stand-in for a hub behind TLS, with a certificate that only who is told of it trusts.
#pragma once

#include <httplib.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sstream>
#include <thread>

#include "hub/testing.h"
#include "program.h"

namespace evo::testing {

/// A key, and the certificate for it that it signs itself, for 127.0.0.1.
class SelfSigned {
 public:
  SelfSigned() : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    X509_set_version(certificate_, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 86400);
    X509_set_pubkey(certificate_, key_);
    X509_NAME* name = X509_get_subject_name(certificate_);
    const auto* text = reinterpret_cast<const unsigned char*>("test");
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(certificate_, name);
    add(NID_basic_constraints, "critical,CA:TRUE");
    add(NID_subject_alt_name, "IP:127.0.0.1");
    EVO_CHECK(X509_sign(certificate_, key_, EVP_sha256()) > 0);
  }
  ~SelfSigned() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  SelfSigned(const SelfSigned&) = delete;
  SelfSigned& operator=(const SelfSigned&) = delete;

  void save(const std::string& path) const {
    FILE* file = std::fopen(path.c_str(), "w");
    EVO_CHECK(file != nullptr && PEM_write_X509(file, certificate_) == 1);
    std::fclose(file);
  }
  [[nodiscard]] EVP_PKEY* key() const { return key_; }
  [[nodiscard]] X509* certificate() const { return certificate_; }

 private:
  void add(int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate_, certificate_, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    EVO_CHECK(extension != nullptr && X509_add_ext(certificate_, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }

  EVP_PKEY* key_;
  X509* certificate_;
};

/// Answers as the hub does.
class TlsFront {
 public:
  TlsFront(const hub::testing::StandInHub& hub, const SelfSigned& identity)
      : server_(identity.certificate(), identity.key()) {
    server_.Get(".*", [&](const httplib::Request& asked, httplib::Response& response) {
      token_ = asked.get_header_value("Authorization");
      std::istringstream reply(hub.reply({"GET", asked.path, "", {}}));
      std::string line;
      std::getline(reply, line);
      response.status = std::stoi(line.substr(line.find(' ')));
      while (std::getline(reply, line) && line != "\r") {
        const size_t colon = line.find(": ");
        const std::string name = line.substr(0, colon);
        if (name == "Content-Length" || name == "Connection") continue;
        response.set_header(name, line.substr(colon + 2, line.size() - colon - 3));
      }
      response.body.assign(std::istreambuf_iterator<char>(reply), {});
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) usleep(1000);
  }
  ~TlsFront() {
    server_.stop();
    thread_.join();
  }
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  [[nodiscard]] std::string url() const { return fmt::format("https://127.0.0.1:{}", port_); }
  [[nodiscard]] std::string token() const { return token_; }  ///< of the last request

 private:
  httplib::SSLServer server_;
  std::string token_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace evo::testing
