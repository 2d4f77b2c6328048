// JSON (RFC 8259) out of bytes that nobody vouches for: strict, bounded in depth, no key twice.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "file.h"

namespace smartmem {

class Json {
 public:
  using List = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  // Throws SM_BAD_FILE with the place of the first byte that does not fit.
  static Json parse(Bytes content);

  // The member `key` of an object, or NULL.
  const Json* find(const std::string& key) const;

  // The member `key` as what it must be; SM_BAD_FILE names it where it is missing or of another
  // kind. A text may be absent or null where `fallback` is given.
  const std::string& text(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  uint64_t integer(const std::string& key) const;
  const List& list(const std::string& key) const;
  const Json& object(const std::string& key) const;

  // Those of an object, in the file's order.
  const Object& members() const { return object_; }

  bool is_null() const { return kind_ == Kind::kNull; }
  // This value itself as a natural number; SM_BAD_FILE where it is none.
  uint64_t as_integer() const;

 private:
  friend class JsonParser;
  enum class Kind { kNull, kBool, kNumber, kText, kList, kObject };

  const Json& member(const std::string& key, Kind kind, const char* name) const;

  Kind kind_ = Kind::kNull;
  std::string text_;  // of a text; of a number as it was written
  List list_;
  Object object_;
};

}  // namespace smartmem
