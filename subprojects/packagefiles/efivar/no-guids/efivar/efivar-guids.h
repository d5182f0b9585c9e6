// Stands in for libefivar's generated list of well-known GUIDs, which nothing here uses.
#pragma once
