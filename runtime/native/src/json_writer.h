// JSON, written piece by piece in the order of calls.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace smartmem {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_list() { return open('['); }
  JsonWriter& end_list() { return close(']'); }

  JsonWriter& key(std::string_view name) {
    value(name);
    text_ += ": ";
    is_first_ = true;
    return *this;
  }

  JsonWriter& value(std::string_view content) {
    separate();
    text_ += '"';
    for (const char c : content) append(c);
    text_ += '"';
    return *this;
  }
  JsonWriter& value(const char* content) { return value(std::string_view(content)); }
  JsonWriter& value(bool is_true) { return word(is_true ? "true" : "false"); }
  JsonWriter& value(uint64_t number) { return word(std::to_string(number)); }
  JsonWriter& value(uint32_t number) { return word(std::to_string(number)); }
  // JSON has no NaN and no infinities: null stands for them.
  JsonWriter& value(double number) {
    char digits[40];
    std::snprintf(digits, sizeof(digits), "%.9g", number);
    return word(std::isfinite(number) ? digits : "null");
  }
  JsonWriter& null() { return word("null"); }

  template <class Value>
  JsonWriter& member(std::string_view name, const Value& content) {
    key(name);
    return value(content);
  }

  const std::string& text() const { return text_; }

 private:
  void separate() {
    if (!is_first_) text_ += ", ";
    is_first_ = false;
  }

  JsonWriter& word(std::string_view content) {
    separate();
    text_ += content;
    return *this;
  }

  JsonWriter& open(char bracket) {
    separate();
    text_ += bracket;
    is_first_ = true;
    return *this;
  }

  JsonWriter& close(char bracket) {
    text_ += bracket;
    is_first_ = false;
    return *this;
  }

  void append(char c) {
    if (c == '"' || c == '\\') text_ += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      text_ += c;
      return;
    }
    char code[8];
    std::snprintf(code, sizeof(code), "\\u%04x", static_cast<unsigned>(c));
    text_ += code;
  }

  std::string text_;
  bool is_first_ = true;
};

}  // namespace smartmem
