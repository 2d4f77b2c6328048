// Failures inside the library: one exception type, turned into a code at the C border (api.cpp).
#pragma once

#include <algorithm>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string>

#include "smartmem.h"

namespace smartmem {

class Error : public std::runtime_error {
 public:
  Error(sm_code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  sm_code code() const { return code_; }

 private:
  sm_code code_;
};

// The parts as one text.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// As much of `source` as fits.
template <size_t size>
void copy_text(char (&target)[size], const char* source) {
  const size_t length = std::min(std::strlen(source), size - 1);
  std::memcpy(target, source, length);
  target[length] = '\0';
}

template <class... Parts>
[[noreturn]] void fail(sm_code code, const Parts&... parts) {
  throw Error(code, text(parts...));
}

}  // namespace smartmem
