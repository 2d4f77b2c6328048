// The C API for this program: handles that release themselves, codes that become exceptions.
#pragma once

#include <memory>

#include "error.h"

namespace smartmem::runner {

template <auto release>
struct Release {
  template <class Handle>
  void operator()(Handle* handle) const {
    release(handle);
  }
};

using Device = std::unique_ptr<sm_device, Release<sm_device_close>>;
using Bundle = std::unique_ptr<sm_bundle, Release<sm_bundle_release>>;
using Model = std::unique_ptr<sm_model, Release<sm_model_release>>;
using Session = std::unique_ptr<sm_session, Release<sm_session_release>>;

// Calls a function that ends in `sm_error* error`; throws what it reports.
template <class... Parameters, class... Arguments>
void call(sm_code (*function)(Parameters...), Arguments... arguments) {
  sm_error error = {};
  if (function(arguments..., &error) != SM_OK) throw Error(error.code, error.message);
}

// The handle that a function makes; `function` takes where to put it.
template <class Owner, class Function>
Owner make(Function function) {
  typename Owner::pointer handle = nullptr;
  function(&handle);
  return Owner(handle);
}

}  // namespace smartmem::runner
