package dispatch

import ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"

// SetLogLevel has every speaker that is connected here write its log at a level, or for "" at the one that it was started with.
// Speakers go by what the replica says that they obey. Until the first call they are told nothing, and stay as they are.
func (h *Hub) SetLogLevel(level string) {
	h.settings.Store(&ingotv1.Settings{LogLevel: level})
	h.nodes.wakeAll()
}

// instruct sends the settings if they are others than the speaker was told since the last welcome. It says whether there was
// room for them.
func (s *stream) instruct() bool {
	settings := s.hub.settings.Load()
	if settings == s.settings {
		return true
	}
	if !s.post(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Settings{Settings: settings}}) {
		return false
	}
	s.settings = settings
	return true
}
