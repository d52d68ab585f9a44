# make install: the header, the libraries and the pkg-config file. Part of the Makefile; works alone too.
#
#   make install PREFIX=$HOME/.local          for one user
#   make install PREFIX=/usr DESTDIR=stage    for a package

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CARGO ?= cargo

TSTORE_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Before 1.0 each minor release has a binary interface of its own.
TSTORE_SONAME := libtinystoredb.so.$(shell echo $(TSTORE_VERSION) | cut -d . -f 1,2)
TSTORE_RELEASE := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/release

.PHONY: install
install:
	@command -v $(CARGO) > /dev/null || { echo "make install: $(CARGO) is missing: install Rust" >&2; exit 1; }
	$(CARGO) build --release --lib
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 include/tinystoredb.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(TSTORE_RELEASE)/libtinystoredb.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(TSTORE_RELEASE)/libtinystoredb.so $(DESTDIR)$(LIBDIR)/libtinystoredb.so.$(TSTORE_VERSION)
	ln -sf libtinystoredb.so.$(TSTORE_VERSION) $(DESTDIR)$(LIBDIR)/$(TSTORE_SONAME)
	ln -sf $(TSTORE_SONAME) $(DESTDIR)$(LIBDIR)/libtinystoredb.so
	@# Paths relative to the .pc file: the installed tree can be moved.
	printf '%s\n' 'prefix=$${pcfiledir}/../..' 'libdir=$${pcfiledir}/..' 'includedir=$${prefix}/include' '' \
	  'Name: tinystoredb' 'Description: An embedded, persistent, ordered key-value store' \
	  'Version: $(TSTORE_VERSION)' 'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -ltinystoredb' \
	  'Libs.private: -lpthread -ldl -lm' > $(DESTDIR)$(LIBDIR)/pkgconfig/tinystoredb.pc
